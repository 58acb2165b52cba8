import type pg from 'pg'
import { z } from 'zod'
import { withKey } from '../../../demo/database-client.ts'
import { enrol, redeem, TEAMS } from '../../../demo/people.ts'
import { Change, requestAccess, type AccessRequest, type Hold } from '../../../src/access/contract.ts'
import { makeHold } from '../../../src/access/holds/hold.ts'
import { mustLoadHold } from '../../../src/access/holds/records.ts'
import {
  approvePurpose,
  proposePurpose,
  registerAccount,
  registerTarget,
  updateTarget,
} from '../../../src/catalog/contract.ts'
import type { Client } from '../../../src/cli/client.ts'
import {
  activateIdentity,
  attestOwner,
  enrolIdentity,
  registerIdentity,
  suspendIdentity,
} from '../../../src/identities/contract.ts'
import { openTeams } from '../../../src/identities/identities.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { transact } from '../../../src/kernel/db.ts'
import { event, shown } from '../../../src/kernel/event.ts'
import { newKeyPair, opensshPublicKey } from '../../../src/kernel/key-pair.ts'
import { systemRandom } from '../../../src/kernel/random.ts'
import { SYSTEM } from '../../../src/ledger/ledger.ts'
import { parseApproval } from '../../../src/policy/policy.ts'
import { listSessions } from '../../../src/sessions/contract.ts'
import type { Installation, Site } from '../../support/installation.ts'
import { openTestLedger } from '../../support/ledger.ts'
import { eventually } from '../../support/eventually.ts'

/** What the rows call on and with. */
export type Stage = Installation & {
  /** A site where nobody but the founder is enrolled. */
  readonly young: Site & { readonly ada: Client }
  /** A person in no team. */
  readonly mallory: Client
  /** A workload with an attested owner and a bare token. */
  readonly drone: Client
  readonly droneName: string
  /** Somebody whose identity is suspended. */
  readonly gone: Client
  readonly name: () => string
  person(isActive?: boolean): Promise<string>
  workload(): Promise<string>
  /** What Bob gets at once: he reads production for a purpose. */
  granted(more?: Readonly<Record<string, unknown>>): Promise<string>
  /** What Carol asks and Bob has to approve. */
  pending(): Promise<AccessRequest>
  /** A call of Bob's that Carol may approve: the shop's database gets another rank. */
  change(): Promise<Change>
  /** What the drone gets at once: it runs commands on a host of the test environment. */
  hosted(): Promise<string>
  /** A grant of the drone's at a server whose login is lent. */
  lent(): Promise<string>
  /** A connection under a grant, open until it is ended. */
  session(): Promise<{ readonly id: string; readonly grantId: string; readonly client: pg.Client }>
  /** What waits in a session of Bob's; Carol, who owns the shop with him, may release it. */
  hold(): Promise<Hold>
}

export async function stageOn(found: Installation, young: Stage['young']): Promise<Stage> {
  const { server, cast, door } = found
  const { ada, bob, carol } = cast
  const mallory = await enrol(server, ada, { kind: 'human', name: 'mallory', profile: 'person' })
  const gone = await enrol(server, ada, { kind: 'human', name: 'gone', profile: 'person' })
  await ada.ask(suspendIdentity, { params: { identity: 'gone' }, input: { reason: 'left the company' } })
  let names = 0
  const name = () => `made-${(names += 1)}`
  const workload = async () => {
    const made = { kind: 'workload', name: name(), profile: 'service', ownerTeam: 'shop', owner: 'bob' }
    return (await ada.ask(registerIdentity, { input: made })).name
  }
  const grantTo = async (who: Client, input: object) => (await who.ask(requestAccess, { input })).grantId ?? ''
  const granted: Stage['granted'] = (more) => grantTo(bob, { ...READ, ...more })
  let host: Promise<void> | undefined
  let registry: Promise<void> | undefined
  const droneName = await workload()
  await bob.ask(attestOwner, { params: { identity: droneName } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: droneName }, input: {} })
  const drone = await redeem(server, secret)
  const stage: Stage = {
    ...found,
    young,
    mallory,
    gone,
    drone,
    droneName,
    name,
    person: async (isActive = true) => {
      const made = await ada.ask(registerIdentity, { input: { kind: 'human', name: name(), profile: 'person' } })
      if (isActive) await ada.ask(activateIdentity, { params: { identity: made.name } })
      return made.name
    },
    workload,
    granted,
    pending: () => carol.ask(requestAccess, { input: ADMIN }),
    change: async () => {
      const given = {
        params: { target: 'shop-db' },
        input: { businessService: 'shop' },
        requestApproval: 'it has a name',
      }
      return Change.parse(await bob.call(updateTarget, given))
    },
    hosted: async () => {
      await (host ??= registerHost(cast))
      return grantTo(drone, HOST_COMMANDS)
    },
    lent: async () => {
      await (registry ??= registerRegistry(found))
      return grantTo(drone, { target: 'registry-1', account: 'pull', actions: ['https.read'], purpose: 'images' })
    },
    hold: async () => makeHeld(found, (await stage.session()).id),
    session: async () => {
      const grantId = await granted()
      const client = await withKey(bob, door, grantId)
      await client.query(`select customer from shop.orders where customer = 'customer-7'`)
      const id = await eventually(async () => {
        const { items } = await bob.ask(listSessions, { query: { grantId } })
        return items[0]?.id
      })
      return { id, grantId, client }
    },
  }
  return stage
}

/** Puts a statement of a session before people, as the gateway does: no shipped policy holds any. */
async function makeHeld({ database }: Installation, useId: string): Promise<Hold> {
  const { ledger, close } = await openTestLedger({ after: () => undefined }, database)
  const needs = { clock: systemClock, random: systemRandom, ledger, teams: await openTeams(TEAMS) }
  const about = {
    class: 'destructive',
    action: 'postgres.write',
    label: 'DELETE',
    statement: 'delete from shop.orders',
  }
  const gates = [parseApproval('1 of owner(target)')]
  const made = await transact(database.db, (tx) => makeHold(tx, needs, { ...about, useId, gates, forSeconds: 600 }))
  await close()
  if (made.kind === 'refused') throw new Error(made.sentence)
  return mustLoadHold(database.db, made.id)
}

const staged = event('test.staged', 'A test made what it is about.', { what: shown(z.string()) })

const HOST_COMMANDS = { target: 'build-1', account: 'deploy', actions: ['ssh.exec'], purpose: 'builds' }

/** A host that lets in by certificate, and what it is looked after for. */
async function registerHost({ ada, bob, carol }: Installation['cast']): Promise<void> {
  const settings = { host: '127.0.0.1', hostKeys: [opensshPublicKey(await newKeyPair())] }
  const target = { name: 'build-1', protocol: 'ssh', environment: 'test', ownerTeam: 'shop', settings } as const
  await ada.ask(registerTarget, { input: target })
  await ada.ask(registerAccount, { params: { target: 'build-1' }, input: { name: 'deploy', mode: 'lease' } })
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  const purpose = { name: 'builds', statement: 'Hosts are looked after.', ownerTeam: 'shop', expiresAt }
  await bob.ask(proposePurpose, { input: { ...purpose, targets: ['build-1'], actions: ['ssh.exec'] } })
  await carol.ask(approvePurpose, { params: { purpose: 'builds' } })
}

/**
 * A registry whose login is lent. Nothing records what is done with it and the shipped policies owe a recording, so it is one that observes: what
 * makes it so takes an approval, which test/journeys/hold.test.ts goes for.
 */
async function registerRegistry({ cast: { ada, bob, carol }, database }: Installation): Promise<void> {
  const settings = { server: 'https://registry.example', probePath: '/v2/' }
  const target = { name: 'registry-1', protocol: 'https', environment: 'test', ownerTeam: 'shop', settings } as const
  const { id } = await ada.ask(registerTarget, { input: target })
  const { ledger, close } = await openTestLedger({ after: () => undefined }, database)
  await transact(database.db, async (tx) => {
    const cause = await ledger.record(tx, {
      event: staged,
      actor: SYSTEM,
      resource: { type: 'Target', id },
      outcome: 'done',
      facts: { what: 'a target that observes' },
    })
    await tx.updateTable('target').set({ mode: 'observe', cause }).where('id', '=', id).execute()
  })
  await close()
  const account = { name: 'pull', mode: 'static', password: 'a-login-that-is-lent' } as const
  await ada.ask(registerAccount, { params: { target: 'registry-1' }, input: account })
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  const purpose = { name: 'images', statement: 'Images are pulled.', ownerTeam: 'shop', expiresAt }
  await bob.ask(proposePurpose, { input: { ...purpose, targets: ['registry-1'], actions: ['https.read'] } })
  await carol.ask(approvePurpose, { params: { purpose: 'images' } })
}

export const READ = { target: 'shop-db', account: 'app', actions: ['postgres.read'], purpose: 'shop-operations' }
const ADMIN = { ...READ, actions: ['postgres.privilege'], reason: 'A role needs to read the orders.' }
