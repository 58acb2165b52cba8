import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Io } from '../io.ts'

/** A folder that only this user can read, for the credentials of one run; gone with them when disposed. */
export async function privateFolder(io: Io): Promise<AsyncDisposable & { readonly path: string }> {
  // mkdtemp makes it 0700. XDG_RUNTIME_DIR is memory where there is one, so that the key reaches no disk.
  const base = io.env['XDG_RUNTIME_DIR'] || tmpdir()
  const path = await mkdtemp(join(await realpath(base).catch(() => tmpdir()), 'reeve-run-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
