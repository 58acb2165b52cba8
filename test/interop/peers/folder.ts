import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Peers take minutes to build, so what was made stays here between runs; `npm ci` clears it away. */
const KEPT = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.cache', 'reeve-peers')
const run = promisify(execFile)

/** Runs a program to its end; what it said is in the error when it fails. */
export async function build(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
  await run(program, args, { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 26, timeout: 1_800_000 })
}

/**
 * The folder of a peer, made once for its name and version. `make` fills a folder that takes its place only when it
 * is whole, so a build that was cut off, or one beside another, leaves nothing half made.
 */
export async function keptFolder(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(KEPT, name)
  if (await isThere(folder)) return folder
  const draft = join(KEPT, `.${name}-${randomBytes(6).toString('hex')}`)
  await mkdir(draft, { recursive: true })
  try {
    await make(draft)
    await rename(draft, folder)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!(await isThere(folder))) throw error
  }
  return folder
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
