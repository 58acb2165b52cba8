import { sha256 } from '../../kernel/crypto.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Seal } from '../../kernel/seal.ts'
import { Secret } from '../../kernel/secret.ts'
import { z } from 'zod'

/** Where a page begins: behind the candidate of this key, with this many results. */
export type Place = { readonly after: string; readonly limit: number }

const Place = z.strictObject({ after: z.string().max(1200), limit: z.int().min(0) })

/**
 * What a search is: the token of a page belongs to it and to who asked, so that no page is read with another question (§8.2.1) or by
 * another enforcement point.
 */
export function searchHash(kind: string, callerId: string, request: Readonly<Record<string, unknown>>): string {
  return sha256(JSON.stringify([kind, callerId, sorted(request, 0)])).toString('hex')
}

/** Sealed rather than signed: the key of a candidate that was passed over is not the caller's to read. */
export function writeToken(seal: Seal, hash: string, place: Place): string {
  return seal.seal(new Secret(JSON.stringify(place)), placeOf(hash)).toString('base64url')
}

/** Throws `invalidInput` for what is no token of this search. */
export function readToken(seal: Seal, hash: string, token: string): Place {
  try {
    const opened = seal.open(Buffer.from(token, 'base64url'), placeOf(hash)).reveal()
    return Place.parse(JSON.parse(opened.toString('utf8')))
  } catch {
    throw invalid('page.token', 'not a token of this very search; start without one')
  }
}

function placeOf(hash: string): string {
  return `authzen.page:${hash}`
}

/** Deeper is not JSON that the listener takes. */
const MAX_DEPTH = 64

function sorted(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > MAX_DEPTH) return value
  if (Array.isArray(value)) return value.map((each: unknown) => sorted(each, depth + 1))
  return Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => [name, sorted(member, depth + 1)])
}
