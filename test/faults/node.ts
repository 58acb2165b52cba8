import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { z } from 'zod'
import { eventually } from '../support/eventually.ts'

/** What a node is told. `arm`: labels to be reached one after the other; at the last one it dies. */
export type Order = { readonly arm?: readonly string[]; readonly shiftMs?: number }

/** A running node of an installation, seen from outside. */
export type FaultNode = z.output<typeof Ready> & {
  readonly pid: number
  /** Resolves when it has taken the order. */
  order(order: Order): Promise<void>
  /** By what it died, once it did. */
  readonly died: Promise<NodeJS.Signals | null>
  hasDied(): boolean
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
}

const Ready = z.object({
  url: z.string(),
  authority: z.string(),
  gatewayPort: z.int(),
  founderLink: z.string().optional(),
})

const CHILD = join(import.meta.dirname, 'child.ts')

/** Waits for a death that is due: the last breath of a process is heard before its death is. */
export async function untilDead(node: FaultNode, sentence: string): Promise<void> {
  await eventually(async () => (node.hasDied() ? true : undefined)).catch(() => assert.fail(sentence))
}

/** Starts one and waits until it serves. */
export async function startNode(folder: string, file: string): Promise<FaultNode> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify({ folder, file })], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const died = once(child, 'exit').then(([, signal]: (NodeJS.Signals | null)[]) => signal ?? null)
  const first = await Promise.race([once(child, 'message'), died])
  assert.ok(Array.isArray(first), 'the node did not start')
  return {
    ...Ready.parse(first[0]),
    pid: child.pid ?? 0,
    died,
    hasDied: () => child.exitCode !== null || child.signalCode !== null,
    async order(order) {
      const taken = once(child, 'message')
      child.send(order)
      await taken
    },
    async kill(signal) {
      child.kill(signal)
      await died
    },
  }
}
