import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { issueKey } from '../../access/contract.ts'
import { newKeyPair } from '../../kernel/key-pair.ts'
import type { Client } from '../client.ts'
import type { Io } from '../io.ts'

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
  // mkdtemp makes it 0700. XDG_RUNTIME_DIR is memory where there is one, so that the key reaches no disk.
  const base = io.env['XDG_RUNTIME_DIR'] || tmpdir()
  const folder = await mkdtemp(join(await realpath(base).catch(() => tmpdir()), 'reeve-run-'))
  const file = (name: string) => join(folder, name)
  const remove = () => rm(folder, { recursive: true, force: true })
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
