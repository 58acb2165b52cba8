import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import type { Cleaning } from '../../support/installation.ts'
import { debianUnstable } from './debian-unstable.ts'
import { build, keptFolder } from './folder.ts'

/** What is built when no program is named. */
const CRANE_VERSION = '0.22.1'
const run = promisify(execFile)

type Program = (...args: string[]) => Promise<string>
export type ImageTools = { readonly umoci: Program; readonly skopeo: Program; readonly crane: Program }

/** Two that build and move images and know nothing of each other's code, of Debian unstable, and crane as Go builds it; each works in the folder. */
export async function imageTools(folder: string): Promise<ImageTools> {
  const debian = await debianUnstable('images-debian-unstable', ['umoci', 'skopeo'])
  const of =
    (program: string, before: readonly string[]): Program =>
    async (...args) =>
      (await run(program, [...before, ...args], { cwd: folder, timeout: 120_000 })).stdout.trim()
  return {
    umoci: of(debian.loader, debian.begin('usr/bin/umoci')),
    skopeo: of(debian.loader, [...debian.begin('usr/bin/skopeo'), '--insecure-policy']),
    crane: of(await craneProgram(), []),
  }
}

async function craneProgram(): Promise<string> {
  const folder = await keptFolder(`crane-${CRANE_VERSION}`, async (draft) => {
    const module = `github.com/google/go-containerregistry/cmd/crane@v${CRANE_VERSION}`
    await build('go', ['install', '-trimpath', module], draft, { GOBIN: draft })
  })
  return join(folder, 'crane')
}

/** The registry that comes with crane, on a free port of the loopback: `HOST:PORT`. */
export async function startRegistry(cleaning: Cleaning): Promise<string> {
  const port = await freePort()
  const args = ['registry', 'serve', '--address', `127.0.0.1:${port}`]
  const child = spawn(await craneProgram(), args, { stdio: 'ignore' })
  const ended = once(child, 'exit')
  cleaning.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await eventually(async () => {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close')]).catch(
      () => false,
    )
    socket.destroy()
    return isOpen === true || undefined
  })
  return `127.0.0.1:${port}`
}
