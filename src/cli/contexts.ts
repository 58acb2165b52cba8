/**
 * What this user of this machine knows of servers: where each is, which CA it has, and the proof of who they are there. One file that nobody
 * else can read; a file that others could read is not used.
 */
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { newId, systemRandom } from '../kernel/random.ts'
import { systemClock } from '../kernel/clock.ts'
import { usage } from './failure.ts'
import { underLock } from './file-lock.ts'
import type { Io } from './io.ts'

const Context = z.object({
  address: z.url().max(2000),
  authority: z.string().max(100_000).optional().describe('PEM'),
  identity: z.string().max(200).optional().describe('name'),
  token: z.string().max(4096).optional(),
  tokenId: z.string().max(100).optional(),
  loginSession: z.string().max(100).optional().describe('id of the login that the token belongs to'),
  expiresAt: z.string().max(64).optional(),
  key: z.string().max(10_000).optional().describe('PEM; the token is bound to it'),
  certificate: z.string().max(100_000).optional().describe('PEM'),
  ledgerKeys: z.array(z.string().max(1000)).max(50).optional().describe('verifier keys, as first seen'),
  checkpoint: z.string().max(10_000).optional().describe('the last one that was verified here'),
})
export type Context = z.output<typeof Context>

const Contexts = z.object({
  current: z.string().max(200).optional(),
  contexts: z.record(z.string().max(200), Context).default({}),
})
export type Contexts = z.output<typeof Contexts>

const FILE = 'contexts.json'
const NONE: Contexts = { contexts: {} }

/** `REEVE_CONTEXTS`, else the user's own folder of configuration. */
function contextsFolder({ env }: Pick<Io, 'env'>): string {
  const given = env['REEVE_CONTEXTS']
  if (given !== undefined && given !== '') return given
  const base = env['XDG_CONFIG_HOME']
  return join(base !== undefined && base !== '' ? base : join(env['HOME'] || homedir(), '.config'), 'reeve')
}

export function readContexts(io: Pick<Io, 'env'>): Contexts {
  const path = join(contextsFolder(io), FILE)
  let text: string
  try {
    const file = lstatSync(path)
    const isMine = file.isFile() && (process.getuid === undefined || file.uid === process.getuid())
    if (!isMine || (file.mode & 0o077) !== 0) {
      throw usage(
        `${path} holds your proof and others could read or replace it.`,
        `Take their rights away: chmod 600 ${path}`,
      )
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return NONE
    throw error
  }
  const read = Contexts.safeParse(parsed(text))
  if (!read.success) throw usage(`${path} is damaged.`, 'Move it away and enrol again.')
  return read.data
}

/**
 * Reads, changes and replaces the file as one: two commands at once both keep what they have to keep. The file is replaced whole, so that a
 * reader never sees half of it. `change` may run more than once.
 */
export async function changeContexts(io: Pick<Io, 'env'>, change: (before: Contexts) => Contexts): Promise<void> {
  const folder = contextsFolder(io)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700)
  await underLock(join(folder, `${FILE}.lock`), (isHeld) => {
    const changed = change(readContexts(io))
    const temporary = join(folder, `${FILE}.${newId(systemClock, systemRandom)}`)
    writeFileSync(temporary, `${JSON.stringify(changed, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' })
    const mayReplace = isHeld()
    if (mayReplace) renameSync(temporary, join(folder, FILE))
    else rmSync(temporary, { force: true })
    return mayReplace
  })
}

/** Adds or replaces a context and makes it the one in use. */
export function keepContext(io: Pick<Io, 'env'>, name: string, context: Context): Promise<void> {
  return changeContexts(io, ({ contexts }) => ({ current: name, contexts: { ...contexts, [name]: context } }))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
