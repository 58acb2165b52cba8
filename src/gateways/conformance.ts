/**
 * The common story that every gateway is run through, with a real server behind it and a real client in front. A gateway's folder brings a
 * `Testbed`; the world (database, policies, ledger, recordings) is the real one. A new gateway passes this before it is a gateway.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import type { Secret } from '../kernel/secret.ts'
import { sleep } from '../kernel/timer.ts'
import type { PlayedLine, Session } from '../sessions/contract.ts'
import type { Gateway, OpenGateway, Plane } from './gateway.ts'

/** A real server, and how its real client is driven. */
export type Testbed = AsyncDisposable & {
  readonly gateway: Gateway
  /** What a target that points at the server holds. */
  readonly settings: unknown
  /** A login at the server; it must be seen nowhere else. */
  readonly login: { readonly account: string; readonly password: Secret }
  /** `covered` is in the grants of the story, `uncovered` is not; both are actions of the gateway. */
  readonly actions: { readonly covered: string; readonly uncovered: string }
  /** Logs in. Rejects with what the client was told, as its message. */
  client(at: Address): Promise<TestClient>
}

export type Address = {
  readonly port: number
  readonly target: string
  readonly account: string
  readonly ticket: Secret
  /** The certificate to trust, where the protocol has TLS. */
  readonly certificate: string
}

export type TestClient = AsyncDisposable & {
  /** A covered act that carries `value` as a literal or argument; resolves with what came back. */
  act(value: string): Promise<string>
  /** An act outside the grant; resolves with the error the client was shown. */
  overstep(): Promise<string>
  /** Starts a covered act that lasts for ever. */
  wait(): void
  /** Asks for more than any buffer holds, and reads none of it. */
  stall(): void
  /** Resolves when the connection is over, with all it was told last. */
  readonly over: Promise<string>
}

type StoryGrant = {
  readonly id: string
  readonly target: string
  readonly account: string
  readonly ticket: Secret
}

/** What the story needs of everything behind the gateway. */
export type StoryWorld = {
  readonly plane: Plane
  grant(testbed: Testbed, actions: readonly string[]): Promise<StoryGrant>
  revoke(grantId: string): Promise<void>
  /** As an operator does it. */
  stop(sessionId: string): Promise<void>
  sessions(grantId: string): Promise<readonly Session[]>
  played(sessionId: string): Promise<readonly PlayedLine[]>
  /** Everything that is kept of a session: its recording's lines and the ledger's leaves, as text. */
  kept(sessionId: string): Promise<string>
  verdict(sessionId: string): Promise<string>
}

type Stage = {
  readonly testbed: Testbed
  readonly world: StoryWorld
  readonly open: OpenGateway
  /** How long something may take before it counts as not happening. */
  readonly patienceMs: number
}

type Chapter = { readonly name: string; readonly run: (stage: Stage) => Promise<void> }

const PATIENCE_MS = 15_000
const LOOK_MS = 10
/** In no protocol's own words, so that finding it is finding the value. */
const VALUE = 'conformance-value-c41f9d'

/** The chapters in the order they are told; each stands alone. */
export const story: readonly Chapter[] = [
  {
    name: 'a grant is admitted and acts',
    run: async (stage) => {
      const { client } = await enter(stage)
      await using _ = client
      assert.match(await client.act(VALUE), new RegExp(VALUE))
    },
  },
  {
    name: 'an act outside the grant is refused with what to request, and the session goes on',
    run: async (stage) => {
      const { client, grant } = await enter(stage)
      await using _ = client
      const told = await client.overstep()
      assert.match(told, new RegExp(escaped(stage.testbed.actions.uncovered)))
      assert.match(told, /reeve access request/)
      assert.match(await client.act(VALUE), new RegExp(VALUE))
      await client[Symbol.asyncDispose]()
      const session = await ended(stage, grant.id)
      const lines = operations(await stage.world.played(session.id))
      assert.ok(lines.some((line) => line.outcome === 'refused' && line.action === stage.testbed.actions.uncovered))
    },
  },
  {
    name: 'a wrong ticket, another target and another account are refused alike, and leave no session',
    run: async (stage) => {
      const grant = await stage.world.grant(stage.testbed, [stage.testbed.actions.covered])
      const other = await stage.world.grant(stage.testbed, [stage.testbed.actions.covered])
      const told = [
        await refusalOf(stage, { ...grant, ticket: other.ticket }),
        await refusalOf(stage, { ...grant, target: other.target }),
        await refusalOf(stage, { ...grant, target: 'no-such-target' }),
        await refusalOf(stage, { ...grant, account: 'no-such-account' }),
      ]
      assert.equal(new Set(told).size, 1, `told apart: ${told.join(' | ')}`)
      assert.deepEqual(await stage.world.sessions(grant.id), [])
    },
  },
  {
    name: 'the end of the grant cuts a session in the middle of an act, with a reason',
    run: async (stage) => {
      const { client, grant } = await enter(stage)
      await using _ = client
      client.wait()
      await stage.world.revoke(grant.id)
      assert.match(await within(stage, client.over, 'the client was cut'), /revoked/)
      assert.equal((await ended(stage, grant.id)).endReason, 'revoked')
      assert.ok((await refusalOf(stage, grant)).length > 0)
    },
  },
  {
    name: 'an operator ends one session, with a reason, and the grant stays',
    run: async (stage) => {
      const { client, grant } = await enter(stage)
      await using _ = client
      client.wait()
      const [session] = await stage.world.sessions(grant.id)
      assert.ok(session)
      await stage.world.stop(session.id)
      assert.match(await within(stage, client.over, 'the client was cut'), /operator/)
      assert.equal((await ended(stage, grant.id)).endReason, 'stopped')
      await using again = await clientFor(stage, grant)
      assert.match(await again.act(VALUE), new RegExp(VALUE))
    },
  },
  {
    name: 'the recording holds every act once, sealed by the ledger, and no secret',
    run: async (stage) => {
      const { client, grant } = await enter(stage)
      for (let n = 0; n < 20; n += 1) await client.act(`${VALUE}-${n}`)
      await client[Symbol.asyncDispose]()
      const session = await ended(stage, grant.id)
      const lines = operations(await stage.world.played(session.id))
      const acts = lines.filter((line) => line.action === stage.testbed.actions.covered && line.outcome === 'done')
      assert.equal(acts.length, 20)
      assert.deepEqual(
        lines.map((line) => line.n),
        lines.map((_, n) => n),
      )
      assert.equal(session.operations, lines.length)
      assert.equal(await stage.world.verdict(session.id), 'intact')
      const kept = await stage.world.kept(session.id)
      for (const secret of [VALUE, grant.ticket.reveal(), stage.testbed.login.password.reveal()]) {
        assert.ok(!kept.includes(secret), 'a secret is kept in the clear')
      }
    },
  },
  {
    name: 'a peer that reads nothing is cut like any other',
    run: async (stage) => {
      const { client, grant } = await enter(stage)
      await using _ = client
      client.stall()
      await stage.world.revoke(grant.id)
      assert.equal((await ended(stage, grant.id)).endReason, 'revoked')
    },
  },
  {
    name: 'a socket that never speaks does not hold a stopping gateway',
    run: async (stage) => {
      const open = await stage.testbed.gateway.open(stage.world.plane, { host: '127.0.0.1', port: 0 })
      const silent = connect(open.port, '127.0.0.1')
      silent.on('error', () => undefined)
      using _ = { [Symbol.dispose]: () => silent.destroy() }
      const gone = new Promise((resolve) => silent.once('close', resolve))
      await new Promise((resolve) => silent.once('connect', resolve))
      silent.resume()
      await within(stage, Promise.resolve(open[Symbol.asyncDispose]()), 'the gateway stopped')
      await within(stage, gone, 'the silent socket was closed')
    },
  },
  {
    name: 'a stopping gateway tells its clients and closes their sessions',
    run: async (stage) => {
      const open = await stage.testbed.gateway.open(stage.world.plane, { host: '127.0.0.1', port: 0 })
      const { client, grant } = await enter({ ...stage, open })
      await using _ = client
      client.wait()
      await within(stage, Promise.resolve(open[Symbol.asyncDispose]()), 'the gateway stopped')
      await within(stage, client.over, 'the client was cut')
      await ended(stage, grant.id)
    },
  },
]

/** Runs the whole story as subtests of `t`. */
export async function conform(t: TestContext, testbed: Testbed, world: StoryWorld): Promise<void> {
  await using open = await testbed.gateway.open(world.plane, { host: '127.0.0.1', port: 0 })
  for (const chapter of story) {
    await t.test(`${testbed.gateway.protocol}: ${chapter.name}`, () =>
      chapter.run({ testbed, world, open, patienceMs: PATIENCE_MS }),
    )
  }
}

async function enter(stage: Stage): Promise<{ grant: StoryGrant; client: TestClient }> {
  const grant = await stage.world.grant(stage.testbed, [stage.testbed.actions.covered])
  return { grant, client: await clientFor(stage, grant) }
}

function clientFor({ testbed, world, open }: Stage, grant: StoryGrant): Promise<TestClient> {
  const { target, account, ticket } = grant
  return testbed.client({ port: open.port, target, account, ticket, certificate: world.plane.tls().cert })
}

/** What a client is told instead of being let in. */
async function refusalOf(stage: Stage, grant: StoryGrant): Promise<string> {
  let client: TestClient
  try {
    client = await clientFor(stage, grant)
  } catch (error) {
    return error instanceof Error ? error.message.replaceAll(grant.target, '…').replaceAll(grant.account, '…') : ''
  }
  await client[Symbol.asyncDispose]()
  return assert.fail('a client was let in that should not have been')
}

/** The only session of a grant, once it has ended. */
async function ended(stage: Stage, grantId: string): Promise<Session> {
  const patience = AbortSignal.timeout(stage.patienceMs)
  while (!patience.aborted) {
    const found = await stage.world.sessions(grantId)
    const [session] = found
    if (session && found.length === 1 && session.endedAt) return session
    await sleep(LOOK_MS)
  }
  return assert.fail('it is not true that the session ended')
}

async function within<T>(stage: Stage, work: Promise<T>, what: string): Promise<T> {
  const patience = new AbortController()
  const late = sleep(stage.patienceMs, patience.signal).then(
    () => assert.fail(`it is not true that ${what}`),
    () => assert.fail('nobody waits any more'),
  )
  // Settled by whoever is first; the other one is nobody's any more.
  late.catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } finally {
    patience.abort()
  }
}

function operations(lines: readonly PlayedLine[]) {
  return lines.filter((line) => line.type === 'operation')
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}
