import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose'
import type { Clock } from '../kernel/clock.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import { JTI_MAX_CHARS, type OnceOnly } from './used-proofs.ts'

/** Of a request that carries a proof of possession (RFC 9449). */
export type DpopShown = {
  /** The value of the `DPoP` header. */
  readonly proof: string
  readonly method: string
  /** The addresses by which this request may honestly have been made, without query. */
  readonly urls: readonly string[]
  /** The access token it came with, at a resource. */
  readonly token?: string
}

export type DpopProven = { readonly keySha256: Buffer; readonly once: OnceOnly }

export const DPOP_ALGORITHMS: readonly string[] = ['ES256', 'EdDSA', 'Ed25519', 'ES384', 'PS256', 'RS256']

/** RFC 9449 §11.1: how old a proof may be, and by how much the clock of its maker may be ahead. */
const WINDOW_SECONDS = 60
const SKEW_SECONDS = 10
const PROOF_MAX_CHARS = 8_192

/**
 * What a proof shows: the key it was made with, when it is for this very request and this very token. Undefined for everything else. That
 * it is shown for the first time is for the caller to see to, once the rest is known to be good.
 */
export async function verifyDpop(clock: Clock, shown: DpopShown): Promise<DpopProven | undefined> {
  if (shown.proof.length > PROOF_MAX_CHARS) return undefined
  const now = clock.now()
  try {
    // The key in the header is verified with and proves nothing but itself; jose takes public keys of asymmetric algorithms only.
    const { payload, protectedHeader } = await jwtVerify(shown.proof, EmbeddedJWK, {
      algorithms: [...DPOP_ALGORITHMS],
      typ: 'dpop+jwt',
      currentDate: now,
    })
    const { jti, htm, htu, iat, ath } = payload
    if (typeof jti !== 'string' || jti === '' || jti.length > JTI_MAX_CHARS || typeof iat !== 'number') return undefined
    const nowSeconds = now.getTime() / 1000
    if (iat > nowSeconds + SKEW_SECONDS || iat < nowSeconds - WINDOW_SECONDS) return undefined
    if (htm !== shown.method || typeof htu !== 'string' || !shown.urls.some((url) => isSame(url, htu))) return undefined
    if (shown.token !== undefined && ath !== sha256(shown.token).toString('base64url')) return undefined
    const { jwk } = protectedHeader
    if (!jwk) return undefined
    const thumbprint = await calculateJwkThumbprint(jwk, 'sha256')
    const expiresAt = secondsAfter(now, WINDOW_SECONDS + SKEW_SECONDS)
    return { keySha256: Buffer.from(thumbprint, 'base64url'), once: { kind: 'dpop', by: thumbprint, jti, expiresAt } }
  } catch {
    return undefined
  }
}

/** RFC 9449 §4.3: compared as URIs, without query and fragment. */
function isSame(ours: string, htu: string): boolean {
  const [a, b] = [URL.parse(ours), URL.parse(htu)]
  return a !== null && b !== null && a.origin === b.origin && a.pathname === b.pathname
}
