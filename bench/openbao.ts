/**
 * What is issued, beside OpenBao on the same machine: access tokens, X.509 certificates of P-256 keys, and logins of a PostgreSQL. Both are
 * processes of their own behind TLS, keep what they issue on a disk that they sync, and write down each call: OpenBao in its file of audit,
 * Reeve in its ledger. The load comes from a third process.
 */
import { mkdtemp, rm, chmod } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openbaoProgram } from '../test/interop/peers/openbao.ts'
import { startCluster } from '../test/support/cluster.ts'
import { startOpenBao } from './openbao/bao.ts'
import { startReeve } from './openbao/reeve.ts'
import { startLoad } from './support/load/load.ts'
import type { Door, Driven } from './support/load/messages.ts'

const DURABLE = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }
const CONNECTIONS = [1, 16]
const WARM_UP_SECONDS = 3

type Way = { readonly what: string; readonly by: string; readonly door: Door; readonly expected: string }
type Row = { readonly what: string; readonly by: string; readonly connections: number } & Pick<
  Driven,
  'perSecond' | 'p50Ms' | 'p99Ms'
>

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '3' } },
  })
  const load = loadavg()[0] ?? 0
  const program = await openbaoProgram()
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  // As root the database runs under another uid, which must be able to pass through.
  await chmod(folder, 0o711)
  try {
    await using cluster = await startCluster({ settings: { ...DURABLE, max_connections: '300' } })
    await using reeve = await startReeve(folder)
    await using bao = await startOpenBao(program, folder, reeve.ready, cluster)
    const { token, svid } = reeve.ready.requests
    const at = (door: Omit<Door, 'requests'>, request: string): Door => ({ ...door, requests: [request] })
    const ways: Way[] = [
      { what: 'token', by: 'Reeve', door: at(reeve.ready.door, token), expected: 'access_token' },
      { what: 'token', by: 'OpenBao, service', door: at(bao.door, bao.requests.service), expected: 'client_token' },
      { what: 'token', by: 'OpenBao, batch', door: at(bao.door, bao.requests.batch), expected: 'client_token' },
      { what: 'certificate', by: 'Reeve', door: at(reeve.ready.door, svid), expected: 'certificate' },
      { what: 'certificate', by: 'OpenBao', door: at(bao.door, bao.requests.sign), expected: 'certificate' },
      { what: 'login', by: 'OpenBao', door: at(bao.door, bao.requests.login), expected: 'username' },
    ]
    const rows = await measured(ways, { seconds: Number(values.seconds), rounds: Number(values.rounds) })
    console.table(rows)
    console.log(`RESULT ${JSON.stringify({ bench: 'openbao', cpus: cpus().length, load, rows })}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The middle of the rounds. All ways take turns, so that a busy moment is nobody's alone. */
async function measured(ways: readonly Way[], size: { seconds: number; rounds: number }): Promise<Row[]> {
  await using load = startLoad()
  const trials = CONNECTIONS.flatMap((connections) => ways.map((way) => ({ way, connections, rounds: [] as Driven[] })))
  for (const { door, expected } of ways) {
    await load.drive({ door, expected, connections: 4, seconds: WARM_UP_SECONDS })
  }
  for (let round = 0; round < size.rounds; round += 1) {
    for (const { way, connections, rounds } of trials) {
      const { door, expected } = way
      rounds.push(await load.drive({ door, expected, connections, seconds: size.seconds }))
    }
  }
  return trials.map(({ way: { what, by }, connections, rounds }) => {
    const middle = (of: 'perSecond' | 'p50Ms' | 'p99Ms') =>
      rounds.map((round) => round[of]).toSorted((a, b) => a - b)[rounds.length >> 1] ?? Number.NaN
    const rounded = (value: number) => Math.round(value * 100) / 100
    const [p50Ms, p99Ms] = [rounded(middle('p50Ms')), rounded(middle('p99Ms'))]
    return { what, by, connections, perSecond: Math.round(middle('perSecond')), p50Ms, p99Ms }
  })
}
