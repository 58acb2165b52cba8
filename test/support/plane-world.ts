import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { TestContext } from 'node:test'
import {
  emptyCalendar,
  endGrant,
  noStanding,
  openEnds,
  openSecondLook,
  type AccessNeeds,
} from '../../src/access/access.ts'
import { syncActions } from '../../src/catalog/catalog.ts'
import { postgresRoleWriter } from '../../src/credentials/credentials.ts'
import { openCancels } from '../../src/gateways/cancels.ts'
import type { GatewayAction, Plane } from '../../src/gateways/gateway.ts'
import type { StoryWorld } from '../../src/gateways/conformance.ts'
import { openPlane } from '../../src/gateways/host.ts'
import type { HostNeeds } from '../../src/gateways/needs.ts'
import { openTeams } from '../../src/identities/identities.ts'
import { transact } from '../../src/kernel/db.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { mintPermit } from '../../src/kernel/permit.ts'
import { Secret } from '../../src/kernel/secret.ts'
import {
  liveEngine,
  loadPolicySet,
  openCedarEngine,
  openDecisionPoint,
  type PolicySet,
} from '../../src/policy/policy.ts'
import {
  folderStore,
  listSessions,
  openLiveSessions,
  play,
  stopSession,
  verify,
  type RecordingStore,
} from '../../src/sessions/sessions.ts'
import { freshDatabase } from './database.ts'
import { addGrant, addNode, type Granted, type GrantedOptions } from './granted.ts'
import { openTestLedger } from './ledger.ts'
import { unpacked } from './session-world.ts'

const POLICIES = join(import.meta.dirname, '..', '..', 'policies')

/** Everything behind a gateway, real: database, shipped policies, ends, leases, recordings. Closed in order when the test ends. */
export async function planeWorld(
  t: Pick<TestContext, 'after'>,
  options: {
    protocol: string
    actions: readonly GatewayAction[]
    tls?: Plane['tls']
    drainMs?: number
    max?: number
    extraPolicies?: string
  },
) {
  const closing: (() => unknown)[] = []
  const last = { after: (close: () => unknown) => void closing.unshift(close) }
  t.after(async () => {
    for (const close of closing) await close()
  })
  const database = await freshDatabase(last, { max: options.max ?? 10 })
  const { db } = database
  const nodeId = await addNode(db)
  const { ledger, needs: basis } = await openTestLedger(last, database, { nodeId })
  const actions = options.actions.map((action) => ({ ...action, protocol: options.protocol }))
  await transact(db, (tx) => syncActions(tx, ledger, actions))
  const policies = await withExtra(last, options.extraPolicies)
  const declare = (more: readonly GatewayAction[]) => declared(policies, more, options.extraPolicies)
  const engine = liveEngine(openCedarEngine(await declare(options.actions)))
  last.after(() => engine[Symbol.dispose]())
  const teams = await openTeams({ payments: { members: [] } })
  const decisions = openDecisionPoint({ ...basis, engine, teams })
  const access: AccessNeeds = {
    ...basis,
    ledger,
    teams,
    decisions,
    calendar: emptyCalendar,
    standing: noStanding,
    holdsOf: () => ['destructive', 'any'],
    onGrantEnded: [],
  }
  const folder = await mkdtemp(join(tmpdir(), 'reeve-test-'))
  last.after(() => rm(folder, { recursive: true, force: true }))
  const store: RecordingStore = folderStore(folder)
  const sessions = { ...basis, db, ledger, log: silentLog, store, nodeId }
  const live = openLiveSessions(sessions)
  last.after(async () => live[Symbol.asyncDispose]())
  const stop = new AbortController()
  const secondLook = openSecondLook({ db, access, nodeId, clock: basis.clock, log: silentLog })
  last.after(async () => secondLook[Symbol.asyncDispose]())
  const cancels = openCancels({ db, seal: basis.seal, clock: basis.clock, log: silentLog })
  const onOtherHint = (hint?: string) => {
    void live.recheck()
    secondLook.heard(hint)
    cancels.heard(hint)
  }
  const ends = await openEnds(
    { connection: database.server, db, clock: basis.clock, log: silentLog, onOtherHint },
    stop.signal,
  )
  last.after(async () => ends[Symbol.asyncDispose]())
  const noTls: Plane['tls'] = () => ({ key: new Secret(''), cert: '', clientCa: '' })
  const needs: HostNeeds = {
    db,
    log: silentLog,
    nodeId,
    access,
    credentials: { ...basis, nodeId, ledger, log: silentLog, writers: [postgresRoleWriter] },
    ends,
    secondLook,
    cancels,
    sessions,
    live,
    tls: options.tls ?? noTls,
    drainMs: options.drainMs ?? 1_000,
  }
  const grant = (given: GrantedOptions = {}): Promise<Granted> =>
    addGrant(db, ledger, { protocol: options.protocol, seal: basis.seal, ...given })
  const revoke = async (grantId: string) => {
    await transact(db, (tx) => endGrant(tx, access, { grantId, reason: 'revoked' }))
  }
  return {
    db,
    database,
    secondLook,
    needs,
    ends,
    live,
    store,
    folder,
    engine,
    declare,
    grant,
    revoke,
    plane: openPlane(needs, options.protocol),
  }
}

/** Validating the policies takes longer than the rest of a world, and a set never changes: a file of tests makes each once. */
const sets = new Map<string, Promise<PolicySet>>()

function declared(folder: string, actions: readonly GatewayAction[], extra = ''): Promise<PolicySet> {
  const offered = actions.map(({ name, class: group }) => ({
    name,
    groups: [`privileged.${group}`],
    resources: ['Target', 'Account'],
  }))
  const key = JSON.stringify([offered, extra])
  const known = sets.get(key) ?? loadPolicySet(folder, offered)
  sets.set(key, known)
  return known
}

async function withExtra(t: Pick<TestContext, 'after'>, extra: string | undefined): Promise<string> {
  if (extra === undefined) return POLICIES
  const folder = await mkdtemp(join(tmpdir(), 'reeve-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await cp(POLICIES, folder, { recursive: true })
  await writeFile(join(folder, 'extra.cedar'), extra)
  return folder
}

export type PlaneWorld = Awaited<ReturnType<typeof planeWorld>>

/** The same as the conformance story asks for it. */
export function storyWorld(world: PlaneWorld): StoryWorld {
  const { db, needs, store, folder } = world
  const playing = { ...needs.sessions, store }
  const about = async (sessionId: string) =>
    db.selectFrom('session').selectAll().where('id', '=', sessionId).executeTakeFirstOrThrow()
  return {
    plane: world.plane,
    async grant(testbed, actions) {
      const made = await world.grant({
        actions: [...actions],
        settings: testbed.settings,
        login: { account: testbed.login.account, password: testbed.login.password.reveal() },
      })
      return { id: made.grantId, target: made.target, account: made.account, ticket: new Secret(made.ticket) }
    },
    revoke: world.revoke,
    async stop(sessionId) {
      const session = await about(sessionId)
      const permit = mintPermit({
        action: 'session.end',
        subject: { type: 'Person', id: session.subjectId },
        onBehalfOf: [],
        resource: { type: 'Session', id: sessionId },
        policyEpoch: 'p1',
        decisionId: 'd1',
        evaluatedAt: new Date(),
      })
      await transact(db, (tx) => stopSession(tx, needs.access, permit, 'the story says so'))
    },
    sessions: async (grantId) => (await listSessions(db, { limit: 200, grantId })).items.toReversed(),
    played: async (sessionId) => Array.fromAsync(await play(playing, sessionId)),
    async kept(sessionId) {
      const { recording } = await about(sessionId)
      const entries = await db.selectFrom('ledgerEntry').select('leaf').execute()
      const segments = await db.selectFrom('ledgerSegment').select('bodies').execute()
      const texts = [...entries.map((entry) => entry.leaf), ...segments.map((segment) => segment.bodies)]
      return [await unpacked(join(folder, recording ?? '')), ...texts.map((each) => each.toString('utf8'))].join('\n')
    },
    verdict: async (sessionId) => (await verify(playing, sessionId)).verdict,
  }
}
