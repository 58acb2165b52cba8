import type { Client } from '../client.ts'
import type { Io } from '../io.ts'
import { handedFor, type HookTerms } from './grant.ts'

/** Prints a dynamic secret as one JSON object of texts, with when it ends. */
export async function printSecret(io: Io, client: Client, terms: HookTerms): Promise<void> {
  const { values, validBefore } = await handedFor(io, client, terms, { kind: 'openbao-secret' })
  io.stdout.write(`${JSON.stringify({ ...values, validBefore: validBefore.toISOString() })}\n`)
}
