import { createHash } from 'node:crypto'
import type { Answer, Sent, TestKey, TokenWorld } from './token-world.ts'

/** The client `console` of a login world, as it asks for a code and redeems it. */
export const CALLBACK = 'https://console.example/callback'
export const VERIFIER = 'a-verifier-that-is-long-enough-to-be-one-of-rfc-7636'
export const challengeOf = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')

export type Form = Readonly<Record<string, string | undefined>>

export const defined = (form: Form) =>
  Object.entries(form).filter((pair): pair is [string, string] => pair[1] !== undefined)

export const codeAsked = (more: Form = {}): Form => ({
  response_type: 'code',
  client_id: 'console',
  redirect_uri: CALLBACK,
  code_challenge: challengeOf(VERIFIER),
  code_challenge_method: 'S256',
  state: 'the state',
  ...more,
})

/** What the query says that a browser was sent back with. */
export const answered = (answer: Answer) => new URL(String(answer.headers['location'])).searchParams

export function redeemCode(
  w: TokenWorld,
  code: string,
  shown: Sent & { readonly dpop?: TestKey },
  more: Form = {},
): Promise<Answer> {
  const form = {
    grant_type: 'authorization_code',
    client_id: 'console',
    redirect_uri: CALLBACK,
    code_verifier: VERIFIER,
    code,
    ...more,
  }
  return w.ask(defined(form), shown)
}
