import { adoptPrincipals, evaluateOwners, listTools, startAdoption } from '../../../src/governance/contract.ts'
import { attestOwner, registerIdentity, updateIdentity } from '../../../src/identities/contract.ts'
import {
  collectSource,
  linkInventory,
  listInventory,
  mergeIdentities,
  registerSource,
} from '../../../src/inventory/contract.ts'
import type { Client } from '../../../src/cli/client.ts'
import type { Row, Rows } from './call.ts'
import { shopSource, sourceThatWasRead } from './inventory.ts'
import type { Stage } from './stage.ts'
import { toolServer } from './tool-server.ts'

type Given = NonNullable<Awaited<ReturnType<Row['done']>>['given']>
const REASON = 'they looked at it together'

/** Principals of the shop's cluster: linked to workloads, owned on evidence, and followed to tier 0. */
export function graphRows(stage: Stage): Rows {
  const { cast, mallory, drone, young } = stage
  const { ada, bob, erin } = cast
  let taken = 0
  const principal = async (by: Client, source: string) => {
    const { items } = await by.ask(listInventory, { params: { kind: 'principal' }, query: { source, limit: 200 } })
    // Each can be linked once.
    taken += 1
    return items[taken % items.length]?.id ?? ''
  }
  const observed = async () => principal(bob, await sourceThatWasRead(stage))
  const toLink = async () => ({
    params: { identity: await stage.workload() },
    input: { observed: await observed(), reason: REASON },
  })
  const linked = async () => {
    const given = await toLink()
    await ada.ask(linkInventory, given)
    return given
  }
  const toMerge = async () => ({
    params: { identity: await stage.workload() },
    input: { into: await stage.workload(), reason: REASON },
  })
  const merged = async () => {
    const { params } = await toMerge().then(async (given) => {
      await ada.ask(mergeIdentities, given)
      return given
    })
    return { params, input: { reason: REASON } }
  }
  /** At the young site Ada is the team that answers for the system, which is all the evidence there is. */
  const evidenceForAda = async () => {
    const { name } = await young.ada.ask(registerSource, {
      input: { ...shopSource(stage), ownerTeam: 'administrators' },
    })
    await young.ada.ask(collectSource, { params: { source: name } })
    const job = { kind: 'workload', name: stage.name(), profile: 'service' } as const
    const identity = (await young.ada.ask(registerIdentity, { input: job })).name
    await young.ada.ask(linkInventory, {
      params: { identity },
      input: { observed: await principal(young.ada, name), reason: REASON },
    })
    await young.ada.ask(evaluateOwners, {})
    return { input: { identities: [identity] } }
  }
  const evidenceForBob = async () => {
    const { params } = await linked()
    await ada.ask(evaluateOwners, {})
    return { input: params }
  }
  /** Accounts of which no fact says what they are: who adopts them says it. */
  const toAdopt = async () => {
    await sourceThatWasRead(stage)
    return { input: { every: true, kind: 'workload', profile: 'service', dryRun: true } as const }
  }
  const adopted = async () => {
    const { input } = await toAdopt()
    const found = await ada.ask(adoptPrincipals, { input })
    const principals = found.items.slice(0, 1).map(({ thingId }) => thingId)
    const { items } = await ada.ask(adoptPrincipals, {
      input: { principals, kind: input.kind, profile: input.profile },
    })
    return { params: { identity: items[0]?.identity ?? '' }, input: { reason: REASON } }
  }
  /** No account of the shop is a person by any fact, so it is done at once and leaves the others what they need. */
  const byRule = async () => ({ input: { source: await sourceThatWasRead(stage), ofKind: 'human' } as const })
  const begun = async () => ({ params: { adoption: (await ada.ask(startAdoption, await byRule())).id } })
  /** The record has a business service that nobody accepted; Bob answers for the workload. */
  const proposedService = async () => {
    const identity = await stage.workload()
    await bob.ask(attestOwner, { params: { identity } })
    await ada.ask(updateIdentity, { params: { identity }, input: { businessService: 'shop' } })
    await ada.ask(evaluateOwners, {})
    return { input: { identities: [identity] } }
  }
  const toolToApprove = async (environment: 'production' | 'staging') => {
    const { name } = await ada.ask(registerSource, {
      input: {
        name: stage.name(),
        connector: 'mcp',
        settings: { url: await toolServer() },
        ownerTeam: 'shop',
        environment,
        schedule: 'never',
      },
    })
    await ada.ask(collectSource, { params: { source: name } })
    const { items } = await bob.ask(listTools, { query: { source: name, limit: 200 } })
    return { input: { tools: items.map(({ version }) => version) } }
  }
  const reads = (given: () => Promise<Given> | Given): Row => ({
    done: async () => ({ by: bob, given: await given() }),
    refused: async () => ({ by: drone, given: await given() }),
    as: 'not-permitted',
  })
  /** Ways to tier 0 are evidence, and everybody else would learn by them where to begin. */
  const keeps = (given: () => Promise<Given> | Given): Row => ({
    done: async () => ({ by: erin, given: await given() }),
    refused: async () => ({ by: bob, given: await given() }),
    as: 'not-permitted',
  })
  const changes = (given: () => Promise<Given>): Row => ({
    done: async () => ({ by: ada, given: await given() }),
    refused: async () => ({ by: mallory, given: await given() }),
    as: 'not-permitted',
  })
  const thing = async () => ({ params: { thing: await observed() } })
  return {
    'inventory.link': changes(toLink),
    'inventory.unlink': changes(linked),
    'inventory.merge': changes(toMerge),
    'inventory.split': changes(merged),
    'inventory.list-links': reads(() => ({})),
    'inventory.suggest': reads(async () => ({ params: { observed: await observed() } })),
    'inventory.resolve': changes(async () => ({})),
    'inventory.consumers': reads(thing),
    'inventory.classify': reads(() => ({})),
    'path.list': keeps(() => ({})),
    'path.read': keeps(thing),
    'path.reach': keeps(thing),
    'path.export': keeps(() => ({})),
    'owner.list': reads(() => ({})),
    'owner.attest': {
      // From the second person on another one of security looks at the list.
      done: async () => ({ by: young.ada, given: await evidenceForAda() }),
      refused: async () => ({
        by: bob,
        given: await evidenceForBob().then(({ input }) => ({ input: { identities: [input.identity] } })),
      }),
      as: 'approval-owed',
    },
    'owner.decline': {
      done: async () => ({ by: bob, given: await evidenceForBob() }),
      refused: () => ({ by: bob, given: { input: { identity: 'nobody-here' } } }),
      as: 'not-found',
    },
    'owner.evaluate': changes(async () => ({})),
    'inventory.adopt': changes(toAdopt),
    'inventory.unadopt': changes(adopted),
    'adoption.start': changes(byRule),
    'adoption.continue': changes(begun),
    'adoption.undo': changes(async () => ({ ...(await begun()), input: { reason: REASON } })),
    'adoption.list': reads(() => ({})),
    'tool.list': reads(() => ({})),
    'tool.approve': {
      // A tool of production takes a second person from when there is one.
      done: async () => ({ by: ada, given: await toolToApprove('staging') }),
      refused: async () => ({ by: ada, given: await toolToApprove('production') }),
      as: 'approval-owed',
    },
    'business-service.list': reads(() => ({})),
    'business-service.attest': {
      done: async () => ({ by: bob, given: await proposedService() }),
      refused: () => ({ by: bob, given: { input: { identities: ['nobody-here'] } } }),
      as: 'not-found',
    },
  }
}
