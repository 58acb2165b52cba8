/**
 * Envoy before a small service, alone and asking Reeve about each request, in turns on one machine: HTTP/1.1 over TLS from a process of its
 * own, a token in each request. What is asked about needs no entry in the ledger.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { meshCa, startEnvoy, startService, type Behind } from '../test/support/envoy.ts'
import { startLoad } from './support/load/load.ts'
import type { AskedSite } from './envoy/site-process.ts'

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      seconds: { type: 'string', default: '3' },
      rounds: { type: 'string', default: '3' },
      connections: { type: 'string', default: '32' },
    },
  })
  const folder = mkdtempSync(join(tmpdir(), 'reeve-bench-envoy-'))
  chmodSync(folder, 0o711)
  const site = fork(join(import.meta.dirname, 'envoy', 'site-process.ts'))
  const load = loadavg()[0] ?? 0
  try {
    site.send({ folder })
    const ready = await readyOf(site)
    const measured = await measure(folder, ready, {
      seconds: Number(values.seconds),
      rounds: Number(values.rounds),
      connections: Number(values.connections),
    })
    console.log(`RESULT ${JSON.stringify({ bench: 'envoy', cpus: cpus().length, load, ...measured })}`)
  } finally {
    const ended = once(site, 'exit')
    site.disconnect()
    await ended
    rmSync(folder, { recursive: true, force: true })
  }
}

async function readyOf(site: ChildProcess): Promise<AskedSite> {
  const failed = once(site, 'exit').then(() => {
    throw new Error('the node ended before it was ready')
  })
  failed.catch(() => undefined)
  const [message]: unknown[] = await Promise.race([once(site, 'message'), failed])
  return (message as { ready: AskedSite }).ready
}

type Size = { readonly seconds: number; readonly rounds: number; readonly connections: number }

async function measure(folder: string, site: AskedSite, { seconds, rounds, connections }: Size) {
  const ca = await meshCa(join(folder, 'mesh'))
  const tls = { ca: ca.ca, ...(await ca.issue('edge', 'DNS:localhost')) }
  const authority = join(folder, 'reeve.pem')
  writeFileSync(authority, site.ca)
  await using service = await startService('orders')
  const behind: Behind = { folder, services: { localhost: service.port }, tls }
  await using alone = await startEnvoy(behind)
  await using asking = await startEnvoy({ ...behind, reeve: { port: site.port, token: site.proxy, ca: authority } })
  await using client = startLoad()
  const head = ['GET /targets/shop HTTP/1.1', 'host: localhost', `authorization: Bearer ${site.person}`]
  const drive = (port: number) =>
    client.drive({
      door: { port, ca: readFileSync(ca.ca, 'utf8'), requests: [`${head.join('\r\n')}\r\n\r\n`] },
      connections,
      seconds,
      expected: 'orders answers',
    })
  await drive(alone.port)
  await drive(asking.port)
  const found = { alone: [] as Row[], asking: [] as Row[] }
  for (let round = 0; round < rounds; round += 1) {
    found.alone.push(await drive(alone.port))
    found.asking.push(await drive(asking.port))
    service.seen.length = 0
  }
  const [a, b] = [middleOf(found.alone), middleOf(found.asking)]
  console.table({ 'Envoy alone': shown(a), 'Envoy asking Reeve': shown(b) })
  const share = b.perSecond / a.perSecond
  console.log(`of Envoy alone: ${share.toFixed(2)}`)
  return { alone: a, asking: b, share }
}

type Row = { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number }

function middleOf(rows: readonly Row[]): Row {
  const sorted = rows.toSorted((x, y) => x.perSecond - y.perSecond)
  const middle = sorted[Math.floor(sorted.length / 2)]
  if (!middle) throw new Error('there was no round')
  return middle
}

function shown({ perSecond, p50Ms, p99Ms }: Row) {
  return { 'per second': Math.round(perSecond), 'p50 ms': p50Ms.toFixed(2), 'p99 ms': p99Ms.toFixed(2) }
}
