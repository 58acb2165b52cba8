import { compactVerify, importJWK, type CryptoKey } from 'jose'
import { z } from 'zod'
import { canonicalJson } from '../kernel/canonical-json.ts'
import type { Clock } from '../kernel/clock.ts'
import { equalBytes, sha256, sha256Latin1 } from '../kernel/crypto.ts'
import { transact, type Db } from '../kernel/db.ts'
import { EgressFailed, type Egress } from '../kernel/egress.ts'
import type { Log } from '../kernel/log.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'
import { issuerKeysSeen } from './events.ts'
import { headerOf, unverifiedClaims } from './jwt.ts'
import { OAuthError } from './oauth-error.ts'

/** Where the keys of an issuer come from. */
type KeySource = {
  readonly issuer: string
  readonly keysUrl: string | null
  /** Given once and for all. */
  readonly keys: { readonly keys: readonly ForeignJwk[] } | null
}

type ForeignJwk = Readonly<Record<string, unknown>>
export type Claims = Readonly<Record<string, unknown>>

/** Verifies signatures of tokens that others made. */
export type IssuerKeys = {
  /** The claims that the source's own key signed. Throws `OAuthError`: whatever cannot be verified now is not believed. */
  verify(token: string, source: KeySource): Promise<Claims>
}

export type IssuerKeysNeeds = {
  readonly db: Db
  readonly clock: Clock
  readonly ledger: Ledger
  readonly egress: Egress
  readonly log: Log
}

/** A set is asked for again after this. */
const FRESH_MS = 300_000
/** One that cannot be asked for is believed no longer than this: a key that was withdrawn there must end here. */
const STALE_MS = 3_600_000
/** Unknown keys are a reason to look again, but whoever makes them up does not set the pace. */
const RETRY_MS = 10_000
const MOST_SOURCES = 500
const MOST_KEYS = 50
const MOST_VERIFIED = 10_000
const RSA_LEAST_CHARS = 342

/** Asymmetric ones, by what the key is; the token only says which of them (RFC 8725 §3.1, §3.2). */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  'EC P-256': ['ES256'],
  'EC P-384': ['ES384'],
  'EC P-521': ['ES512'],
  'OKP Ed25519': ['EdDSA', 'Ed25519'],
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
}

const Discovery = z.object({ issuer: z.string().max(2_000), jwks_uri: z.url().max(2_000) })
const KeySet = z.object({ keys: z.array(z.record(z.string(), z.unknown())).max(MOST_KEYS) })
const JSON_TYPES = ['application/json', 'application/jwk-set+json']

type Fetched = { readonly keys: readonly ForeignJwk[]; readonly sha256: Buffer; readonly atMs: number }
type Place = { fetched: Fetched | undefined; triedMs: number; fetching: Promise<Fetched> | undefined }

export function openIssuerKeys(needs: IssuerKeysNeeds): IssuerKeys {
  const { clock } = needs
  const places = new Map<string, Place>()
  const imported = new WeakMap<ForeignJwk, Map<string, Promise<CryptoKey | Uint8Array>>>()
  const verified = new Map<string, { readonly claims: Claims; readonly keys: readonly ForeignJwk[] }>()

  const keysFor = async (source: KeySource, isNeeded: (keys: readonly ForeignJwk[]) => boolean) => {
    if (source.keys) return source.keys.keys
    const place = placeOf(places, source)
    const ageMs = place.fetched ? clock.monotonicMs() - place.fetched.atMs : Infinity
    const mayTry = clock.monotonicMs() - place.triedMs >= RETRY_MS
    const isWanted = ageMs > FRESH_MS || !isNeeded(place.fetched?.keys ?? [])
    if (isWanted && (mayTry || place.fetching)) {
      place.fetching ??= fetchKeys(needs, source, place).finally(() => (place.fetching = undefined))
      await place.fetching.catch((error: unknown) => {
        needs.log.warn({ err: error, issuer: source.issuer }, 'the keys of an issuer could not be read')
      })
    }
    const { fetched } = place
    if (!fetched || clock.monotonicMs() - fetched.atMs > STALE_MS) {
      throw new OAuthError('temporarily_unavailable', 'The keys of the issuer cannot be read now.')
    }
    return fetched.keys
  }

  return {
    async verify(token, source) {
      const header = headerOf(token)
      const { alg, kid } = header ?? {}
      if (!header || typeof alg !== 'string') throw unverifiable()
      // RFC 7515 §4.1.11: whoever does not know an extension that must be understood refuses. We know none.
      if (header['crit'] !== undefined || header['b64'] !== undefined) throw unverifiable()
      const isFor = (jwk: ForeignJwk) => isKeyFor(jwk, alg, kid)
      const keys = await keysFor(source, (found) => found.some(isFor))
      const known = verified.get(cacheKey(source, token))
      // Good for exactly the set it was verified by: another one forgets it.
      if (known?.keys === keys) return known.claims
      const jwk = keys.filter(isFor)
      const [key] = jwk
      if (!key || jwk.length > 1) throw unverifiable()
      const claims = await claimsBy(token, alg, await importedKey(imported, key, alg))
      if (verified.size >= MOST_VERIFIED) verified.clear()
      verified.set(cacheKey(source, token), { claims, keys })
      return claims
    },
  }
}

function cacheKey({ issuer, keysUrl }: KeySource, token: string): string {
  return sha256Latin1(JSON.stringify([issuer, keysUrl, token]))
}

function unverifiable(): OAuthError {
  return new OAuthError('invalid_grant', 'The token cannot be verified.')
}

/** A key with a name is for tokens that name it. Of keys without one there must be but one that fits, or none is taken. */
function isKeyFor(jwk: ForeignJwk, alg: string, kid: unknown): boolean {
  const { kty, crv, use, alg: own, kid: name, n, d, k } = jwk
  if (d !== undefined || k !== undefined) return false
  if (kid !== undefined && typeof kid !== 'string') return false
  if (name !== undefined && name !== kid) return false
  if (kty === 'RSA' && (typeof n !== 'string' || n.length < RSA_LEAST_CHARS)) return false
  if ((use !== undefined && use !== 'sig') || (own !== undefined && own !== alg)) return false
  return ALGORITHMS[kty === 'RSA' ? 'RSA' : `${String(kty)} ${String(crv)}`]?.includes(alg) === true
}

function importedKey(
  imported: WeakMap<ForeignJwk, Map<string, Promise<CryptoKey | Uint8Array>>>,
  jwk: ForeignJwk,
  alg: string,
): Promise<CryptoKey | Uint8Array> {
  const byAlg = imported.get(jwk) ?? new Map<string, Promise<CryptoKey | Uint8Array>>()
  imported.set(jwk, byAlg)
  const key = byAlg.get(alg) ?? importJWK({ ...jwk }, alg)
  byAlg.set(alg, key)
  return key
}

async function claimsBy(token: string, alg: string, key: CryptoKey | Uint8Array): Promise<Claims> {
  try {
    await compactVerify(token, key, { algorithms: [alg] })
  } catch (error) {
    throw new OAuthError('invalid_grant', 'The token cannot be verified.', { cause: error })
  }
  const claims = unverifiedClaims(token)
  if (!claims) throw unverifiable()
  return claims
}

function placeOf(places: Map<string, Place>, source: KeySource): Place {
  const key = JSON.stringify([source.issuer, source.keysUrl])
  const found = places.get(key)
  if (found) return found
  if (places.size >= MOST_SOURCES) places.clear()
  const made: Place = { fetched: undefined, triedMs: -Infinity, fetching: undefined }
  places.set(key, made)
  return made
}

async function fetchKeys(needs: IssuerKeysNeeds, source: KeySource, place: Place): Promise<Fetched> {
  place.triedMs = needs.clock.monotonicMs()
  const url = source.keysUrl ?? (await discovered(needs.egress, source.issuer))
  const { keys } = await readJson(needs.egress, url, KeySet)
  const digest = sha256(canonicalJson(keys))
  const before = place.fetched
  if (!before || !equalBytes(before.sha256, digest)) await enterChange(needs, source, { url, keys, digest })
  const atMs = needs.clock.monotonicMs()
  // The same list while it is the same set: what was verified by it stays so.
  const fetched = { keys: before && equalBytes(before.sha256, digest) ? before.keys : keys, sha256: digest, atMs }
  place.fetched = fetched
  return fetched
}

/** OpenID Connect Discovery §4: the metadata is the issuer's only if it says so itself. */
async function discovered(egress: Egress, issuer: string): Promise<string> {
  const found = await readJson(egress, `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, Discovery)
  if (found.issuer !== issuer) throw new EgressFailed('type', 'The metadata is of another issuer.')
  return found.jwks_uri
}

async function readJson<T>(egress: Egress, url: string, schema: z.ZodType<T>): Promise<T> {
  const { status, body } = await egress.ask(url, { types: JSON_TYPES })
  if (status !== 200) throw new EgressFailed('unreachable', `The issuer answered ${status}.`)
  return schema.parse(JSON.parse(body.toString('utf8')))
}

/** An issuer that shows other keys than before is remembered with what changed: it may be a rotation, or somebody in its place. */
async function enterChange(
  { db, clock, ledger }: IssuerKeysNeeds,
  { issuer }: KeySource,
  { url, keys, digest }: { url: string; keys: readonly ForeignJwk[]; digest: Buffer },
): Promise<void> {
  await transact(db, async (tx) => {
    const before = await tx
      .selectFrom('issuerKeys')
      .select(['keysSha256', 'kids'])
      .where('url', '=', url)
      .forUpdate()
      .executeTakeFirst()
    if (before && equalBytes(before.keysSha256, digest)) return
    const kids = keys.map(nameOf)
    const cause = await ledger.record(tx, {
      event: issuerKeysSeen,
      actor: SYSTEM,
      resource: { type: 'Installation', id: 'installation' },
      outcome: 'done',
      facts: {
        issuer,
        url,
        appeared: kids.filter((kid) => !before?.kids.includes(kid)),
        disappeared: (before?.kids ?? []).filter((kid) => !kids.includes(kid)),
      },
    })
    const row = { issuer, keysSha256: digest, kids, seenAt: clock.now(), cause }
    await tx
      .insertInto('issuerKeys')
      .values({ url, ...row })
      .onConflict((conflict) => conflict.column('url').doUpdateSet(row))
      .execute()
  })
}

/** Names come from outside: bounded, on one line, and told apart from ours by the hash behind them. */
function nameOf(jwk: ForeignJwk): string {
  const { kid } = jwk
  const shown = typeof kid === 'string' ? kid.replaceAll(/[^\x21-\x7e]/g, '?').slice(0, 100) : ''
  return `${shown}#${sha256(canonicalJson(jwk)).toString('hex').slice(0, 16)}`
}
