import { readIdentity } from '../../../src/identities/contract.ts'
import { collectSource, listInventory, registerSource } from '../../../src/inventory/contract.ts'
import type { Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const read = new WeakMap<Stage, Promise<string>>()

/** The shop's cluster as a source that was read; a system is read as one source only. */
export function sourceThatWasRead(stage: Stage): Promise<string> {
  const known =
    read.get(stage) ??
    stage.cast.ada.ask(registerSource, { input: shopSource(stage) }).then(async ({ name }) => {
      await stage.cast.ada.ask(collectSource, { params: { source: name } })
      return name
    })
  read.set(stage, known)
  return known
}

const POSTED = { kind: 'EventList', apiVersion: 'audit.k8s.io/v1', items: [] }

/** A cluster of Kubernetes for which the drone posts. Nobody reads it. */
async function clusterOf({ name, cast, droneName }: Stage) {
  const { id } = await cast.ada.ask(readIdentity, { params: { identity: droneName } })
  const input = {
    name: name(),
    connector: 'kubernetes',
    settings: { url: 'https://127.0.0.1:6443', auditDeliveredBy: id },
    credential: { token: 'a token of a reader' },
    ownerTeam: 'shop',
    environment: 'production',
    schedule: 'never',
  }
  return { source: (await cast.ada.ask(registerSource, { input })).name }
}

/** How the shop's cluster is registered. */
export function shopSource({ name, production: { cluster, authority, provisioner } }: Stage) {
  return {
    name: name(),
    connector: 'postgres',
    settings: { host: cluster.host, port: cluster.port, database: 'shop', tls: { mode: 'verify-full', ca: authority } },
    credential: provisioner,
    ownerTeam: 'shop',
    environment: 'production',
    schedule: 'never',
  } as const
}

/** The shop's cluster as a source: registered once, read once, and then asked about. */
export function inventoryRows(stage: Stage): Rows {
  const { cast, mallory, drone } = stage
  const { ada, bob } = cast
  const input = () => shopSource(stage)
  const registered = async () => ({ params: { source: (await ada.ask(registerSource, { input: input() })).name } })
  const known = () => sourceThatWasRead(stage)
  const knownSource = async () => ({ params: { source: await known() } })
  const principals = async () => ({ params: { kind: 'principal' }, query: { source: await known() } })
  const one = async () => {
    const { items } = await bob.ask(listInventory, await principals())
    return { params: { kind: 'principal', id: items[0]?.id ?? '' } }
  }
  type Given = Awaited<ReturnType<Row['done']>>['given']
  const reads = (given: () => Promise<NonNullable<Given>> | NonNullable<Given>): Row => ({
    done: async () => ({ by: bob, given: await given() }),
    refused: async () => ({ by: drone, given: await given() }),
    as: 'not-permitted',
  })
  const changes = (given: () => Promise<NonNullable<Given>>): Row => ({
    done: async () => ({ by: ada, given: await given() }),
    refused: async () => ({ by: mallory, given: await given() }),
    as: 'not-permitted',
  })
  return {
    'source.register': changes(async () => ({ input: input() })),
    'source.list': reads(() => ({})),
    'source.read': reads(knownSource),
    'source.probe': changes(registered),
    'source.collect': changes(knownSource),
    'source.deliver': {
      done: async () => ({ by: drone, given: { params: await clusterOf(stage), input: POSTED } }),
      refused: async () => ({ by: ada, given: { params: await clusterOf(stage), input: POSTED } }),
      as: 'not-permitted',
    },
    'source.update': changes(async () => ({ ...(await registered()), input: { schedule: 'weekly' } })),
    'source.retire': changes(registered),
    'inventory.list': reads(principals),
    'inventory.read': reads(one),
    'inventory.coverage': reads(() => ({})),
    'inventory.export': reads(principals),
  }
}
