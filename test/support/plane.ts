import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  Refused,
  type Admission,
  type CancelRequest,
  type Ending,
  type HeldOperation,
  type Plane,
  type RecordedOperation,
} from '../../src/gateways/gateway.ts'
import { openAuthority, type Authority } from '../../src/kernel/ca.ts'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { sha256 } from '../../src/kernel/crypto.ts'
import { silentLog, type Log } from '../../src/kernel/log.ts'
import { systemRandom } from '../../src/kernel/random.ts'
import type { Secret } from '../../src/kernel/secret.ts'
import type { HoldClass } from '../../src/policy/policy.ts'

export const ALL_ACTIONS = ['read', 'write', 'listen', 'schema', 'privilege', 'superuser', 'program'].map(
  (name) => `postgres.${name}`,
)

/** What a proof opens at this plane. */
export type FakeGrant = {
  readonly target: string
  readonly account: string
  readonly settings: unknown
  readonly upstream: { readonly user: string; readonly password: Secret }
  readonly actions: readonly string[]
  readonly databases?: readonly string[]
  readonly beginFails?: Error
  /** The target does not enforce. */
  readonly mode?: 'observe' | 'warn'
  /** Operations of the class wait, until the test settles them. */
  readonly holds?: HoldClass
}

/** An operation that waits: `settle(undefined)` releases it. */
export type FakeHold = {
  readonly operation: HeldOperation
  readonly signal: AbortSignal
  readonly settle: (sentence: string | undefined) => void
}

/** One admission as the plane saw it. */
export type Seen = {
  readonly operations: RecordedOperation[]
  readonly held: FakeHold[]
  /** What `close` was told. */
  ending: Ending | undefined
  hasBegun: boolean
  isReleased: boolean
  /** Ends the grant, as the plane would. */
  end(ending: Ending): void
  /** The recorder fails. */
  lose(): void
}

export type FakePlane = Plane & {
  readonly authority: Authority
  readonly seen: Seen[]
  readonly asked: string[]
  /** Requests to cancel that the gateway passed on. */
  readonly passed: CancelRequest[]
  /** As if another node had passed a request on. */
  hear(processId: number, key: () => Buffer): void
  /** A ticket for this grant. */
  ticket(grant: FakeGrant): string
  /** A client's key and certificate for this grant, in PEM. */
  certificate(grant: FakeGrant, ttlSeconds?: number): Promise<{ key: string; cert: string }>
}

/** A plane in memory: what the gateway needs of everything behind it, and nothing of the domains. */
export async function fakePlane(
  t: Pick<TestContext, 'after'>,
  options: { clock?: Clock; drainMs?: number; log?: Log } = {},
): Promise<FakePlane> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-plane-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const clock = options.clock ?? systemClock
  const authority = await openAuthority(join(folder, 'ca'), { clock, random: systemRandom })
  const server = await authority.issueServer(['localhost', '127.0.0.1'])
  const grants = new Map<string, FakeGrant>()
  const seen: Seen[] = []
  const asked: string[] = []
  const passed: CancelRequest[] = []
  const hearing = new Set<Parameters<Plane['onCancel']>[0]>()
  return {
    clock,
    random: systemRandom,
    log: options.log ?? silentLog,
    drainMs: options.drainMs ?? 2_000,
    tls: () => ({ key: server.key, cert: server.cert, clientCa: authority.certificate }),
    authority,
    seen,
    asked,
    passed,
    passCancel: (request) => void passed.push(request),
    onCancel(heard) {
      hearing.add(heard)
      return { [Symbol.dispose]: () => void hearing.delete(heard) }
    },
    hear(processId, key) {
      for (const heard of hearing) heard(processId, key)
    },
    ticket(grant) {
      const ticket = systemRandom.bytes(16).toString('hex')
      grants.set(ticket, grant)
      return ticket
    },
    async certificate(grant, ttlSeconds = 60) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const spki = publicKey.export({ format: 'der', type: 'spki' })
      grants.set(sha256(spki).toString('hex'), grant)
      const { cert } = await authority.issueClient({ spki, commonName: 'run', ttlSeconds })
      return { cert, key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() }
    },
    async admit({ proof, target, account }, signal) {
      signal.throwIfAborted()
      const shown = proof.kind === 'ticket' ? proof.secret.reveal() : proof.spkiSha256.toString('hex')
      asked.push(proof.kind)
      const grant = grants.get(shown)
      if (!grant || grant.target !== target || grant.account !== account)
        throw new Refused('unknown', 'This proof opens nothing here.')
      const admitted = admissionOf(grant, clock)
      seen.push(admitted.seen)
      return admitted.admission
    },
  }
}

function passing({ mode }: FakeGrant, sentence: string) {
  return mode && { sentence, isTold: mode === 'warn' }
}

function admissionOf(grant: FakeGrant, clock: Clock): { admission: Admission; seen: Seen } {
  const ended = new AbortController()
  const lost = new AbortController()
  const seen: Seen = {
    operations: [],
    held: [],
    ending: undefined,
    hasBegun: false,
    isReleased: false,
    end: (ending) => ended.abort(ending),
    lose: () => lost.abort({ reason: 'recorder-lost', sentence: 'This session can no longer be recorded.' }),
  }
  const { actions, target, account, databases = [], settings, upstream } = grant
  const admission: Admission = {
    grant: {
      id: '0190a1b2-0000-7000-8000-000000000001',
      actions,
      expiresAt: new Date(clock.now().getTime() + 3_600_000),
    },
    subject: { id: 'subject', name: 'alice', kind: 'human' },
    target: { id: 'target', name: target, settings },
    account: { name: account, databases },
    upstream,
    ended: ended.signal,
    async begin() {
      if (grant.beginFails) throw grant.beginFails
      seen.hasBegun = true
      return {
        id: 'session',
        refusal: (action) =>
          actions.includes(action) || grant.mode
            ? undefined
            : `The grant does not cover ${action}. Request it for ${target}.`,
        passing: (action) =>
          actions.includes(action) ? undefined : passing(grant, `The grant does not cover ${action}.`),
        holding: (held) => {
          if (grant.holds !== 'any' && grant.holds !== held) return undefined
          return grant.mode ? passing(grant, 'It would wait for a person.') : 'held'
        },
        hold: (operation, signal) =>
          new Promise((settle) => {
            operation.onHeld(`This operation is ${operation.class} and waits.`)
            seen.held.push({ operation, signal, settle })
          }),
        record: (operation) => void seen.operations.push(operation),
        lost: lost.signal,
        close: async (ending) => {
          seen.ending ??= ending
        },
      }
    },
    async [Symbol.asyncDispose]() {
      seen.isReleased = true
    },
  }
  return { admission, seen }
}
