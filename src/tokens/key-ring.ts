import { sql } from 'kysely'
import { z } from 'zod'
import { secondsAfter, type Clock } from '../kernel/clock.ts'
import { sha256Latin1 } from '../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { newId, type Random } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import type { Secret } from '../kernel/secret.ts'
import { openVerifyingKey, type PublicJwk, type SigningAlgorithm } from '../kernel/signing-key.ts'
import { discardKeys, type MadeKey, type SigningKeys } from '../kernel/signing-keys.ts'
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
  readonly keys: SigningKeys
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
  readonly currentId: string
  readonly held: readonly Held[]
  readonly mint: ReturnType<typeof openMint>
  readonly verifiers: ReadonlyMap<string, { alg: string; verify: ReturnType<typeof openVerifyingKey> }>
}

/** Opens the keys, making the first ones where there are none. */
export async function openKeyRing(needs: KeyRingNeeds, terms: KeyRingTerms): Promise<KeyRing> {
  await move(needs, terms, false)
  let opened = await load(needs, undefined)
  const verified = new Map<string, Readonly<Record<string, unknown>>>()
  const keep = async (isForced: boolean) => {
    await move(needs, terms, isForced)
    opened = await load(needs, opened)
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

async function load({ db, seal, keys }: KeyRingNeeds, before: Opened | undefined): Promise<Opened> {
  const rows = await db
    .selectFrom('signingKey')
    .select(['id', 'kid', 'algorithm', 'publicJwk', 'sealedKey', 'state'])
    .where('state', '<>', 'retired')
    .orderBy('id')
    .execute()
  const current = rows.find(({ state }) => state === 'current')
  if (!current?.sealedKey) throw new Error('there is no key to sign tokens with')
  const held = rows.map(({ kid, algorithm, publicJwk }) => ({ kid, algorithm, jwk: Jwk.parse(publicJwk) }))
  const jwk = Jwk.parse(current.publicJwk)
  return {
    currentId: current.id,
    held,
    // A key that is held elsewhere is asked to prove itself, so the same one is not opened again.
    mint:
      before?.currentId === current.id
        ? before.mint
        : openMint(await keys.open(seal.open(current.sealedKey, placeOf(current.id)), jwk)),
    verifiers: new Map(held.map(({ kid, algorithm, jwk }) => [kid, { alg: algorithm, verify: openVerifyingKey(jwk) }])),
  }
}

function placeOf(id: string): string {
  return `signing_key.sealed_key:${id}`
}

type KeyRow = {
  readonly id: string
  readonly kid: string
  readonly state: 'next' | 'current' | 'previous' | 'retired'
  readonly sealedKey: Buffer | null
  readonly signsAt: Date | null
  readonly retiresAt: Date | null
}

/** What is to be done now with the keys there are. */
function planFor(rows: readonly KeyRow[], now: Date, { rotateDays }: KeyRingTerms, isForced: boolean) {
  const current = rows.find(({ state }) => state === 'current')
  const next = rows.find(({ state }) => state === 'next')
  const isDue = !current || isForced || (current.signsAt ?? now) <= secondsAfter(now, -rotateDays * DAY)
  const over = rows.filter(({ retiresAt }) => retiresAt !== null && retiresAt <= now)
  return { current, next, isDue, over, wanted: (isDue && !next ? 1 : 0) + (isDue || !next ? 1 : 0) }
}

function keyRows(db: Db): Promise<KeyRow[]> {
  return db
    .selectFrom('signingKey')
    .select(['id', 'kid', 'state', 'sealedKey', 'signsAt', 'retiresAt'])
    .where('state', '<>', 'retired')
    .execute()
}

/** Another node may move the keys between a look and the lock; then there is another look. */
const MOST_LOOKS = 3

/** Makes and moves the keys whose time has come. Those that are needed are made first: whoever holds them may take long, and rows are locked then. */
async function move(needs: KeyRingNeeds, terms: KeyRingTerms, isForced: boolean): Promise<void> {
  for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
    const { wanted } = planFor(await keyRows(needs.db), needs.clock.now(), terms, isForced)
    const made: MadeKey[] = []
    let moved: Moved | undefined
    try {
      for (let at = 0; at < wanted; at += 1) made.push(await needs.keys.make(terms.algorithm, 'reeve access tokens'))
      moved = await transact(needs.db, (tx) => moveKeys(tx, needs, { terms, isForced, made }))
    } finally {
      await discardKeys(
        needs,
        made.slice(moved?.used ?? 0).map(({ kept }) => kept),
      )
    }
    await discardKeys(needs, moved?.stopped ?? [])
    if (moved) return
  }
}

type Moving = { readonly terms: KeyRingTerms; readonly isForced: boolean; readonly made: readonly MadeKey[] }

/** How many of the made ones are in use now, and what was kept of those that sign no more. */
type Moved = { readonly used: number; readonly stopped: readonly Secret<Buffer>[] }

/** One node at a time. Undefined where more keys are needed than were made. */
async function moveKeys(tx: Tx, needs: KeyRingNeeds, { terms, isForced, made }: Moving): Promise<Moved | undefined> {
  await sql`select pg_advisory_xact_lock(hashtext('reeve signing keys'))`.execute(tx)
  const now = needs.clock.now()
  const { current, next, isDue, over, wanted } = planFor(await keyRows(tx), now, terms, isForced)
  if (wanted > made.length) return undefined
  for (const { id, kid } of over) {
    const cause = await needs.ledger.record(tx, { ...BY_ITSELF, event: signingKeyRetired, facts: { kid } })
    await tx.updateTable('signingKey').set({ state: 'retired', cause }).where('id', '=', id).execute()
  }
  let used = 0
  const enterNext = () => enterKey(tx, needs, made[used++])
  let stopped: Secret<Buffer>[] = []
  if (isDue) {
    const successor = next ?? (await enterNext())
    const facts = { kid: successor.kid, previousKid: current?.kid ?? null }
    const cause = await needs.ledger.record(tx, { ...BY_ITSELF, event: signingKeyRotated, facts })
    if (current) {
      const retiresAt = secondsAfter(now, PUBLISHED_AFTER_SECONDS)
      const change = { state: 'previous', sealedKey: null, retiresAt, cause } as const
      await tx.updateTable('signingKey').set(change).where('id', '=', current.id).execute()
      if (current.sealedKey) stopped = [needs.seal.open(current.sealedKey, placeOf(current.id))]
    }
    const begun = { state: 'current', signsAt: now, cause } as const
    await tx.updateTable('signingKey').set(begun).where('id', '=', successor.id).execute()
  }
  if (isDue || !next) await enterNext()
  return { used, stopped }
}

async function enterKey(tx: Tx, needs: KeyRingNeeds, made: MadeKey | undefined): Promise<{ id: string; kid: string }> {
  if (!made) throw new Error('fewer keys were made than are needed')
  const { kid, publicJwk, algorithm } = made.key
  const id = newId(needs.clock, needs.random)
  const facts = { kid, algorithm, heldIn: needs.keys.place }
  const cause = await needs.ledger.record(tx, { ...BY_ITSELF, event: signingKeyMade, facts })
  await tx
    .insertInto('signingKey')
    .values({
      id,
      kid,
      algorithm,
      publicJwk: JSON.stringify(publicJwk),
      sealedKey: needs.seal.seal(made.kept, placeOf(id)),
      state: 'next',
      createdAt: needs.clock.now(),
      signsAt: null,
      retiresAt: null,
      cause,
    })
    .execute()
  return { id, kid }
}
