import type { Client } from '../client.ts'
import { EXIT, Failure } from '../failure.ts'
import type { Io } from '../io.ts'
import { handedFor, valueOf, type HookTerms } from './grant.ts'

/** Prints what `credential_process` of the AWS SDKs reads, version 1. */
export async function printProcessCredential(io: Io, client: Client, terms: HookTerms): Promise<void> {
  const handed = await handedFor(io, client, terms, { kind: 'aws-session' })
  const credential = {
    Version: 1,
    AccessKeyId: valueOf(handed, 'accessKeyId'),
    SecretAccessKey: valueOf(handed, 'secretAccessKey'),
    SessionToken: valueOf(handed, 'sessionToken'),
    Expiration: handed.validBefore.toISOString(),
  }
  io.stdout.write(`${JSON.stringify(credential)}\n`)
}

/** Prints a link into the console. Whoever has it is signed in, so it goes to standard output alone. */
export async function printSignIn(io: Io, client: Client, terms: HookTerms): Promise<void> {
  const { signIn } = await handedFor(io, client, terms, { kind: 'aws-session', signIn: true })
  if (signIn === undefined) throw new Failure(EXIT.server, `There is no link into the console of ${terms.target}.`)
  io.stdout.write(`${signIn}\n`)
}
