import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { constants as os } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { usage } from '../failure.ts'
import type { Io } from '../io.ts'
import { printable } from '../output/printable.ts'

/** What is passed on to the command. */
const FORWARDED = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const
/** A terminal sends these to the command by itself; a second one would mean something else. */
const FROM_TERMINAL = new Set<string>(['SIGINT', 'SIGQUIT'])

/** Where the program is; throws before anything is asked of anybody when it is not there. */
export function findProgram(io: Io, name: string): string {
  if (name.includes('/')) {
    const path = resolve(io.workingFolder, name)
    if (isExecutable(path)) return path
    throw usage(`${printable(name)} is no program that can be run.`)
  }
  const folders = (io.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  const found = folders.map((folder) => join(folder, name)).find(isExecutable)
  if (found === undefined) throw usage(`${printable(name)} is not installed, or not on the PATH.`)
  return found
}

/** Runs the command on this process's own streams and gives its exit code; 128 and the number where a signal ended it. */
export function runCommand(program: string, args: readonly string[], env: Record<string, string>): Promise<number> {
  return new Promise((settle, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env })
    const forward = (signal: NodeJS.Signals) => {
      if (!(process.stdin.isTTY && FROM_TERMINAL.has(signal))) child.kill(signal)
    }
    for (const signal of FORWARDED) process.on(signal, forward)
    const stop = () => {
      for (const signal of FORWARDED) process.off(signal, forward)
    }
    child.on('error', (error) => {
      stop()
      reject(usage(`${printable(program)} could not be started: ${error.message}`))
    })
    child.on('exit', (code, signal) => {
      stop()
      settle(signal === null ? (code ?? 1) : 128 + os.signals[signal])
    })
  })
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
