/**
 * `npm run conform -- authzen --from <folder>`: the certification scenario of the AuthZEN Authorization API 1.0 and the decisions that its
 * working group published for interop events, asked of a real Reeve over HTTPS. `--from` names a checkout of openid/authzen; without it
 * only the scenario runs. Prints how many ran and how they ended, and as its last line `RESULT ` with one JSON object.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CHECKS, type Check } from './authzen/certification.ts'
import { readInterops } from './authzen/interop.ts'
import { startPeer, type Kept, type Peer } from './authzen/peer.ts'

type Ended = { readonly name: string; readonly ran: number; readonly passed: number }

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({ args: flags, options: { from: { type: 'string' } } })
  const folder = mkdtempSync(join(tmpdir(), 'reeve-conform-'))
  // As root the database runs under another uid, which must be able to pass through.
  chmodSync(folder, 0o711)
  const kept: Kept = {}
  const ended: Ended[] = []
  try {
    {
      await using peer = await startPeer(folder, kept, 'certification')
      ended.push(await runChecks('certification scenario', peer, CHECKS))
    }
    for (const { name, scenario, vocabulary, checks } of values.from ? readInterops(values.from) : []) {
      await using peer = await startPeer(folder, kept, scenario, vocabulary)
      ended.push(await runChecks(name, peer, checks))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const sum = (part: 'ran' | 'passed') => ended.reduce((total, each) => total + each[part], 0)
  console.log(`${sum('passed')} of ${sum('ran')} passed.`)
  if (sum('passed') !== sum('ran') || sum('ran') === 0) process.exitCode = 1
  console.log(`RESULT ${JSON.stringify({ name: 'authzen', ran: sum('ran'), passed: sum('passed'), parts: ended })}`)
}

async function runChecks(name: string, peer: Peer, checks: readonly Check[]): Promise<Ended> {
  let passed = 0
  for (const { id, run: check } of checks) {
    const wrong = await check(peer)
    if (wrong === undefined) passed += 1
    else console.log(`  ${name}, ${id}: ${wrong}`)
  }
  console.log(`${name.padEnd(24)} ${passed} of ${checks.length}`)
  return { name, ran: checks.length, passed }
}
