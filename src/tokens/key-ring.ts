import { sql } from 'kysely'
import { z } from 'zod'
import { secondsAfter, type Clock } from '../kernel/clock.ts'
import { sha256Latin1 } from '../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { newId, type Random } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import {
  newSigningKey,
  openSigningKey,
  openVerifyingKey,
  type PublicJwk,
  type SigningAlgorithm,
  type SigningKey,
} from '../kernel/signing-key.ts'
import { every } from '../kernel/timer.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'
import { signingKeyMade, signingKeyRetired, signingKeyRotated } from './events.ts'
import { headerOf, openMint, unverifiedClaims } from './jwt.ts'

/** The keys that access tokens are signed with: the next one is published before it signs, the last one until its tokens have expired. */
export type KeyRing = Disposable & {
  /** A signed token with these claims. */
  mint(claims: Readonly<Record<string, unknown>>): string | Promise<string>
  /** The claims of a token that one of these keys signed; undefined for every other. Says nothing of its time, nor whether it was revoked. */
  verify(token: string): Readonly<Record<string, unknown>> | undefined
  /** RFC 7517, for whoever verifies our tokens. */
  published(): { readonly keys: readonly (PublicJwk & { kid: string; alg: SigningAlgorithm; use: 'sig' })[] }
  /** Reads the keys again, making and moving those whose time has come. */
  keep(): Promise<void>
  /** Moves on to the next key now. */
  rotate(): Promise<void>
  /** Forgets which tokens were verified: something was revoked. */
  flush(): void
}

export type KeyRingNeeds = {
  readonly db: Db
  readonly clock: Clock
  readonly random: Random
  readonly seal: Seal
  readonly ledger: Ledger
  readonly log: Log
}

export type KeyRingTerms = { readonly algorithm: SigningAlgorithm; readonly rotateDays: number }

const DAY = 86_400
/** The longest life of a token, and as much again for clocks and for those who keep a key set for an hour. */
const PUBLISHED_AFTER_SECONDS = 2 * 3600
const KEEP_MS = 60_000
/** Verified tokens that are remembered; at most some tens of megabytes. */
const MOST_VERIFIED = 50_000

const BY_ITSELF = { actor: SYSTEM, resource: { type: 'Installation', id: 'installation' }, outcome: 'done' } as const

const Jwk = z.union([
  z.object({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() }),
  z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string() }),
])

type Held = { readonly kid: string; readonly algorithm: SigningAlgorithm; readonly jwk: PublicJwk }
type Opened = {
  readonly held: readonly Held[]
  readonly mint: ReturnType<typeof openMint>
  readonly verifiers: ReadonlyMap<string, { alg: string; verify: ReturnType<typeof openVerifyingKey> }>
}

/** Opens the keys, making the first ones where there are none. */
export async function openKeyRing(needs: KeyRingNeeds, terms: KeyRingTerms): Promise<KeyRing> {
  const move = (isForced: boolean) => transact(needs.db, (tx) => moveKeys(tx, needs, terms, isForced))
  await move(false)
  let opened = await load(needs)
  const verified = new Map<string, Readonly<Record<string, unknown>>>()
  const keep = async (isForced: boolean) => {
    await move(isForced)
    opened = await load(needs)
    verified.clear()
  }
  const timer = every(KEEP_MS, () => {
    keep(false).catch((error: unknown) => needs.log.warn({ err: error }, 'the signing keys could not be read again'))
  })
  return {
    mint: (claims) => opened.mint(claims),
    verify: (token) => {
      const key = sha256Latin1(token)
      const known = verified.get(key)
      if (known) return known
      const claims = verifiedBy(opened, token)
      if (!claims) return undefined
      if (verified.size >= MOST_VERIFIED) verified.clear()
      verified.set(key, claims)
      return claims
    },
    published: () => ({
      keys: opened.held.map(({ kid, algorithm, jwk }) => ({ ...jwk, kid, alg: algorithm, use: 'sig' })),
    }),
    keep: () => keep(false),
    rotate: () => keep(true),
    flush: () => verified.clear(),
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}

function verifiedBy({ verifiers }: Opened, token: string): Readonly<Record<string, unknown>> | undefined {
  const { alg, kid } = headerOf(token) ?? {}
  const key = typeof kid === 'string' ? verifiers.get(kid) : undefined
  // The algorithm is the key's, never the token's choice (RFC 8725 §3.1).
  if (!key || alg !== key.alg) return undefined
  const end = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(end + 1), 'base64url')
  return key.verify(Buffer.from(token.slice(0, end), 'latin1'), signature) ? unverifiedClaims(token) : undefined
}

async function load({ db, seal }: KeyRingNeeds): Promise<Opened> {
  const rows = await db
    .selectFrom('signingKey')
    .select(['id', 'kid', 'algorithm', 'publicJwk', 'sealedKey', 'state'])
    .where('state', '<>', 'retired')
    .orderBy('id')
    .execute()
  const current = rows.find(({ state }) => state === 'current')
  if (!current?.sealedKey) throw new Error('there is no key to sign tokens with')
  const signing: SigningKey = openSigningKey(seal.open(current.sealedKey, placeOf(current.id)))
  const held = rows.map(({ kid, algorithm, publicJwk }) => ({ kid, algorithm, jwk: Jwk.parse(publicJwk) }))
  return {
    held,
    mint: openMint(signing),
    verifiers: new Map(held.map(({ kid, algorithm, jwk }) => [kid, { alg: algorithm, verify: openVerifyingKey(jwk) }])),
  }
}

function placeOf(id: string): string {
  return `signing_key.sealed_key:${id}`
}

/** Makes and moves the keys whose time has come; one node at a time. */
async function moveKeys(tx: Tx, needs: KeyRingNeeds, terms: KeyRingTerms, isForced: boolean): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('reeve signing keys'))`.execute(tx)
  const now = needs.clock.now()
  const rows = await tx
    .selectFrom('signingKey')
    .select(['id', 'kid', 'state', 'signsAt', 'retiresAt'])
    .where('state', '<>', 'retired')
    .execute()
  for (const { id, kid, retiresAt } of rows) {
    if (retiresAt === null || retiresAt > now) continue
    const cause = await needs.ledger.record(tx, { ...BY_ITSELF, event: signingKeyRetired, facts: { kid } })
    await tx.updateTable('signingKey').set({ state: 'retired', cause }).where('id', '=', id).execute()
  }
  const current = rows.find(({ state }) => state === 'current')
  const next = rows.find(({ state }) => state === 'next')
  const isDue = !current || isForced || (current.signsAt ?? now) <= secondsAfter(now, -terms.rotateDays * DAY)
  if (isDue) {
    const successor = next ?? (await makeKey(tx, needs, terms))
    const facts = { kid: successor.kid, previousKid: current?.kid ?? null }
    const cause = await needs.ledger.record(tx, { ...BY_ITSELF, event: signingKeyRotated, facts })
    if (current) {
      const retiresAt = secondsAfter(now, PUBLISHED_AFTER_SECONDS)
      const stopped = { state: 'previous', sealedKey: null, retiresAt, cause } as const
      await tx.updateTable('signingKey').set(stopped).where('id', '=', current.id).execute()
    }
    const begun = { state: 'current', signsAt: now, cause } as const
    await tx.updateTable('signingKey').set(begun).where('id', '=', successor.id).execute()
  }
  if (isDue || !next) await makeKey(tx, needs, terms)
}

async function makeKey(tx: Tx, needs: KeyRingNeeds, { algorithm }: KeyRingTerms): Promise<{ id: string; kid: string }> {
  const secret = newSigningKey(algorithm)
  const { kid, publicJwk } = openSigningKey(secret)
  const id = newId(needs.clock, needs.random)
  const cause = await needs.ledger.record(tx, { ...BY_ITSELF, event: signingKeyMade, facts: { kid, algorithm } })
  await tx
    .insertInto('signingKey')
    .values({
      id,
      kid,
      algorithm,
      publicJwk: JSON.stringify(publicJwk),
      sealedKey: needs.seal.seal(secret, placeOf(id)),
      state: 'next',
      createdAt: needs.clock.now(),
      signsAt: null,
      retiresAt: null,
      cause,
    })
    .execute()
  return { id, kid }
}
