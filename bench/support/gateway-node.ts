/** A gateway in a process of its own, with the real plane behind it: database, policies, ledger, recordings. Driven over IPC. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { postgresGateway } from '../../src/gateways/postgres/gateway.ts'
import { openAuthority } from '../../src/kernel/ca.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/random.ts'
import { planeWorld } from '../../test/support/plane-world.ts'

export type NodeReady = {
  readonly port: number
  readonly user: string
  readonly ticket: string
  readonly ca: string
  readonly cert: string
  readonly key: string
}

type Terms = { readonly settings: unknown; readonly login: { account: string; password: string } }

const closing: (() => unknown)[] = []
const t = { after: (close: () => unknown) => void closing.unshift(close) }

async function open({ settings, login }: Terms): Promise<NodeReady> {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-ca-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const authority = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const server = await authority.issueServer(['localhost', '127.0.0.1'])
  const gateway = postgresGateway({ allowsPlaintext: true })
  const world = await planeWorld(t, {
    protocol: gateway.protocol,
    actions: gateway.actions,
    tls: () => ({ key: server.key, cert: server.cert, clientCa: authority.certificate }),
  })
  const grant = await world.grant({
    actions: ['postgres.read', 'postgres.write'],
    maxConnections: 1_000,
    // Writing in production would need an approver.
    environment: 'staging',
    settings,
    login,
  })
  const listening = await gateway.open(world.plane, { host: '127.0.0.1', port: 0 })
  t.after(async () => listening[Symbol.asyncDispose]())
  return {
    port: listening.port,
    user: `${grant.account}@${grant.target}`,
    ticket: grant.ticket,
    ca: authority.certificate,
    cert: server.cert,
    key: server.key.reveal(),
  }
}

process.on('message', (message: { open?: Terms; ask?: 'cpu' | 'stop' }) => {
  void answer(message)
})

async function answer({ open: terms, ask }: { open?: Terms; ask?: 'cpu' | 'stop' }): Promise<void> {
  if (terms) process.send?.({ ready: await open(terms) })
  else if (ask === 'cpu') {
    const { user, system } = process.cpuUsage()
    process.send?.({ cpuMicros: user + system })
  } else {
    for (const close of closing) await close()
    process.exit(0)
  }
}
