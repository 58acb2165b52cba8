import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The executable as it is installed. */
export const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'reeve.js')

/** What Node keeps of compiled modules between processes: without it, half of a command's time is spent on compiling itself. */
const { NODE_COMPILE_CACHE } = process.env
const KEPT = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }

/** Where a command runs, and what it finds in its environment: nothing of this process's own but what is named, and where Node keeps compiled modules. */
export type Place = { readonly folder: string; readonly env: NodeJS.ProcessEnv }

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** Runs `reeve` to its end. */
export function reeve({ folder, env }: Place, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [PROGRAM, ...args],
      { cwd: folder, env: { ...KEPT, ...env } },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
      },
    )
  })
}

/** A `reeve` that still runs. */
export type Background = {
  /** Its exit code, or -1 when a signal ended it. */
  readonly exit: Promise<number>
  /** Until stderr has said it. */
  said(pattern: RegExp): Promise<void>
  /** Until stdout has it. */
  printed(pattern: RegExp): Promise<void>
  stdout(): string
  stderr(): string
  kill(signal: NodeJS.Signals): void
}

/** Starts `reeve` and goes on; it is killed when the test ends. */
export function startReeve(
  t: { after(work: () => unknown): void },
  { folder, env }: Place,
  args: readonly string[],
): Background {
  const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: folder, env: { ...KEPT, ...env } })
  t.after(() => child.kill('SIGKILL'))
  const written = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (written.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (written.stderr += chunk.toString()))
  // `close`, not `exit`: what it wrote has arrived then.
  const exit = once(child, 'close').then(([code]: (number | null)[]) => code ?? -1)
  const until = async (stream: 'stdout' | 'stderr', pattern: RegExp) => {
    while (!pattern.test(written[stream])) {
      const over = exit.then(() => assert.match(written[stream], pattern, written.stderr))
      await Promise.race([once(child[stream], 'data'), over])
    }
  }
  return {
    exit,
    said: (pattern) => until('stderr', pattern),
    printed: (pattern) => until('stdout', pattern),
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    kill: (signal) => child.kill(signal),
  }
}

/** What a test of such a program is skipped for where it is not installed. */
export function needs(program: string): { skip?: string } {
  const isThere = (process.env.PATH ?? '').split(delimiter).some((place) => existsSync(join(place, program)))
  return isThere ? {} : { skip: `there is no ${program} on the PATH` }
}
