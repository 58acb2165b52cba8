import type { LoginNeeds } from './needs.ts'
import { CHALLENGE, type CodeKey, type PublicClient } from '../tokens/tokens.ts'

/** What a client may say of what it asks for; anything else means nothing to us (RFC 6749 §3.1). */
export const NAMES = [
  'response_type',
  'client_id',
  'redirect_uri',
  'state',
  'code_challenge',
  'code_challenge_method',
  'dpop_jkt',
  'prompt',
] as const

export type Fields = ReadonlyMap<string, string>

type Fault = {
  readonly error: 'unsupported_response_type' | 'invalid_request' | 'request_not_supported' | 'invalid_scope'
  readonly why: string
}

export const STATE_MAX_CHARS = 1_000
/** RFC 7638 with SHA-256. */
const THUMBPRINT = CHALLENGE

/** The client that registered this address, to the letter; undefined where nothing may be sent there. */
export function clientAt(
  { publicClients }: Pick<LoginNeeds, 'publicClients'>,
  fields: Fields,
): { readonly client: PublicClient; readonly redirectUri: string } | undefined {
  const client = publicClients.find(({ id }) => id === fields.get('client_id'))
  const redirectUri = fields.get('redirect_uri')
  if (!client || redirectUri === undefined) return undefined
  return client.redirectUris.some((known) => isSameAddress(known, redirectUri)) ? { client, redirectUri } : undefined
}

/** What is wrong with what a client asks for, in the words of RFC 6749 §4.1.2.1, wherever it says so. */
export function faultOf(fields: Fields): Fault | undefined {
  const fault = (error: Fault['error'], why: string): Fault => ({ error, why })
  if (fields.get('response_type') !== 'code') return fault('unsupported_response_type', 'Only codes are given.')
  if ((fields.get('response_mode') ?? 'query') !== 'query') return fault('invalid_request', 'Answers go in the query.')
  if (fields.has('request') || fields.has('request_uri')) return fault('request_not_supported', 'Send parameters.')
  if (fields.has('scope')) return fault('invalid_scope', 'There are no scopes.')
  // RFC 9700 §2.1.1: without a challenge, or with a plain one, a stolen code is worth a token.
  if (fields.get('code_challenge_method') !== 'S256' || !CHALLENGE.test(fields.get('code_challenge') ?? '')) {
    return fault('invalid_request', 'PKCE with S256 is asked of everybody.')
  }
  const jkt = fields.get('dpop_jkt')
  if (jkt !== undefined && !THUMBPRINT.test(jkt)) return fault('invalid_request', 'dpop_jkt is no thumbprint.')
  if ((fields.get('state') ?? '').length > STATE_MAX_CHARS) return fault('invalid_request', 'The state is too long.')
  return undefined
}

/** The key that a client named for the code (RFC 9449 §10). */
export function keyNamed(fields: Fields): CodeKey | undefined {
  const jkt = fields.get('dpop_jkt')
  return jkt === undefined ? undefined : { kind: 'dpop', sha256: Buffer.from(jkt, 'base64url') }
}

/** RFC 9700 §2.1: compared as text; of a program on this machine any port is its own (RFC 8252 §7.3). */
export function isSameAddress(known: string, asked: string): boolean {
  if (known === asked) return true
  const [a, b] = [LOOPBACK.exec(known), LOOPBACK.exec(asked)]
  return a !== null && b !== null && a[1] === b[1] && (a[2] ?? '') === (b[2] ?? '')
}

/** By address and never by `localhost`, which a name service may lead elsewhere (RFC 8252 §8.3). */
const LOOPBACK = /^http:\/\/(127\.0\.0\.1|\[::1\])(?::\d{1,5})?(\/[\x21\x22\x24-\x7e]*)?$/
