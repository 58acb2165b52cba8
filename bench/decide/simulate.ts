/** How long a simulation over recorded decisions holds the loop of a node that does nothing else meanwhile. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLoad } from '../support/load/load.ts'
import { startSite } from './children.ts'
import type { Simulated } from './messages.ts'

const RUNS = 3

/** Has more decided than one simulation asks again, and simulates. */
export async function measureSimulation(): Promise<Simulated[]> {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  // As root the database runs under another uid, which must be able to pass through.
  await chmod(folder, 0o711)
  try {
    await using site = await startSite(folder, undefined)
    await using load = startLoad()
    const { port, ca, requests } = site.ready
    const door = { port, ca, requests: requests.various }
    while ((await site.entries()) < requests.various.length) {
      await load.drive({ door, connections: 64, seconds: 2, expected: '"decision":' })
    }
    const found: Simulated[] = []
    for (let run = 0; run < RUNS; run += 1) found.push(await site.simulate())
    console.table(found)
    return found
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
