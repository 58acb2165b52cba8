import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { issueKey } from '../../access/contract.ts'
import { newKeyPair } from '../../kernel/key-pair.ts'
import type { Client } from '../client.ts'
import type { Io } from '../io.ts'
import { privateFolder } from './private-folder.ts'

/** A client certificate for the gateway, in files that only this user can read, gone when disposed. */
export type RunCredentials = AsyncDisposable & {
  /** `account@target` */
  readonly user: string
  readonly keyFile: string
  readonly certificateFile: string
  readonly authorityFile: string
}

/** Makes a key that never leaves this machine and has its public half certified for the grant. */
export async function runCredentials(io: Io, client: Client, grantId: string): Promise<RunCredentials> {
  const pair = await newKeyPair()
  const input = { publicKey: pair.publicKey }
  const issued = await client.ask(issueKey, { params: { grant: grantId }, input })
  const folder = await privateFolder(io)
  const remove = () => folder[Symbol.asyncDispose]()
  const file = (name: string) => join(folder.path, name)
  try {
    // libpq refuses a key that others could read (PostgreSQL manual §32.19.2).
    await writeFile(file('client.key'), pair.privateKey.reveal(), { mode: 0o600, flag: 'wx' })
    await writeFile(file('client.crt'), issued.certificate, { mode: 0o600, flag: 'wx' })
    await writeFile(file('ca.crt'), issued.authority, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    await remove()
    throw error
  }
  return {
    user: issued.user,
    keyFile: file('client.key'),
    certificateFile: file('client.crt'),
    authorityFile: file('ca.crt'),
    [Symbol.asyncDispose]: remove,
  }
}
