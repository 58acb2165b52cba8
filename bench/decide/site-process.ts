/**
 * A whole node in a process of its own, as it is shipped: its own PostgreSQL, which syncs each commit, the shipped policies, and an
 * enforcement point that asks about people. Started by http.ts.
 */
import { sql } from 'kysely'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { enrol, enrolFounder, redeem } from '../../demo/people.ts'
import { approvePurpose, proposePurpose, registerAccount, registerTarget } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { loadConfig } from '../../src/kernel/config.ts'
import { openLog } from '../../src/kernel/log.ts'
import { startServer, type RunningServer } from '../../src/server.ts'
import { countedStatements, countStatements } from '../support/statements.ts'
import { simulatePolicy } from '../../src/policy/contract.ts'
import { rounded } from './latency.ts'
import type { Ask, SiteReady, Simulated, Statement } from './messages.ts'

/** More questions than a simulation asks again. */
const VARIOUS = 24_000
/** Asked about in turn, so that nothing lives off the last question. */
const PEOPLE = Array.from({ length: 16 }, (_, at) => `person-${at}`)
const PATH = '/access/v1/evaluation'
const DAY_MS = 86_400_000

process.once('message', ({ folder }: { folder: string }) => {
  start(folder).then(
    ({ server, ada, ready }) => {
      process.on('message', (ask: Ask) => void answer(server, ada, ask).then((told) => process.send?.({ told })))
      process.once('disconnect', () => void server[Symbol.asyncDispose]().then(() => process.exit()))
      process.send?.(ready)
    },
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})

async function start(folder: string): Promise<{ server: RunningServer; ada: Client; ready: SiteReady }> {
  const file = join(folder, 'reeve.yaml')
  const teams = { administrators: { members: ['ada'] }, shop: { members: ['ada', ...PEOPLE] } }
  const config = {
    home: join(folder, 'home'),
    teams,
    api: { port: 0 },
    gateways: { postgres: { port: 0 } },
    authzen: { enforcementPoints: ['gate'], drafts: true, entries: 'privileged' },
    // What is measured is the node, not its limit on one caller.
    limits: { requestsPerSecond: 100_000, requestBurst: 100_000 },
  }
  // YAML reads JSON.
  writeFileSync(file, JSON.stringify(config))
  const server = await startServer(loadConfig({ env: {}, workingFolder: folder, file }), openLog('error'))
  const { ada, gate } = await populate(server)
  const { connection } = gate
  const { authority } = server
  const { cert, key } = await authority.issueServer(['localhost', '127.0.0.1'])
  const token = connection.token?.reveal() ?? ''
  const requests = {
    plain: PEOPLE.map((person) => requestOf(token, plainQuestion(person))),
    durable: PEOPLE.map((person) => requestOf(token, durableQuestion(person))),
    // Each with a ticket of its own, so that no two are the same question.
    various: Array.from({ length: VARIOUS }, (_, at) =>
      requestOf(token, durableQuestion(PEOPLE[at % PEOPLE.length] ?? '', `OPS-${at}`)),
    ),
  }
  const { port } = server.api
  return { server, ada, ready: { ready: { port, ca: authority.certificate, cert, key: key.reveal(), requests } } }
}

/** People, one account in staging, a purpose that covers it, and who asks. */
async function populate(server: RunningServer): Promise<{ ada: Client; gate: Client }> {
  const ada = await enrolFounder(server)
  const people: Client[] = []
  for (const name of PEOPLE) people.push(await enrol(server, ada, { kind: 'human', name, profile: 'person' }))
  await ada.ask(registerTarget, {
    input: {
      name: 'stub',
      protocol: 'postgres',
      environment: 'staging',
      ownerTeam: 'shop',
      settings: { host: '127.0.0.1', port: 1, tls: { mode: 'disable' } },
    },
  })
  const account = { name: 'app', mode: 'static', password: 'not asked for' } as const
  await ada.ask(registerAccount, { params: { target: 'stub' }, input: account })
  const expiresAt = new Date(Date.now() + DAY_MS).toISOString()
  const covers = { targets: ['stub'], actions: ['postgres.read'] }
  const purpose = { name: 'measuring', statement: 'Is measured.', ownerTeam: 'shop', ...covers, expiresAt }
  const [owner] = people
  if (!owner) throw new Error('there is nobody')
  await owner.ask(proposePurpose, { input: purpose })
  await ada.ask(approvePurpose, { params: { purpose: 'measuring' } })
  const gate = { kind: 'workload', name: 'gate', profile: 'service', ownerTeam: 'shop', owner: PEOPLE[0] } as const
  await ada.ask(registerIdentity, { input: gate })
  await owner.ask(attestOwner, { params: { identity: 'gate' } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: 'gate' }, input: {} })
  return { ada, gate: await redeem(server, secret) }
}

/** An act that is not privileged: no entry. */
function plainQuestion(person: string) {
  return {
    subject: { type: 'user', id: person },
    action: { name: 'target.read' },
    resource: { type: 'target', id: 'stub' },
  }
}

/** A privileged act with what it takes to be permitted: the answer waits for its entry. */
function durableQuestion(person: string, ticket?: string) {
  return {
    subject: { type: 'user', id: person },
    action: { name: 'postgres.read' },
    resource: { type: 'account', id: 'app@stub' },
    context: {
      purpose: 'measuring',
      ...(ticket !== undefined && { ticket }),
      supported_obligations: ['urn:reeve:obligation:record', 'urn:reeve:obligation:max-duration'],
    },
  }
}

function requestOf(token: string, question: unknown): string {
  const body = JSON.stringify(question)
  const head = [
    `POST ${PATH} HTTP/1.1`,
    'host: localhost',
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

async function answer(
  { ground }: RunningServer,
  ada: Client,
  ask: Ask,
): Promise<number | readonly Statement[] | Simulated> {
  if (ask === 'simulate') return simulated(ada)
  if (ask === 'cpu') {
    const { user, system } = process.cpuUsage()
    return user + system
  }
  if (ask === 'entries') {
    const { rows } = await sql<{ total: number }>`
      select coalesce(sum(size), 0)::int as total from ledger_segment`.execute(ground.db)
    return rows[0]?.total ?? 0
  }
  if (ask === 'count') countStatements()
  return countedStatements()
}

/** The shipped policies and one more, over what was decided: as many decisions as one simulation asks again. */
async function simulated(ada: Client): Promise<Simulated> {
  const shipped = readFileSync(join(import.meta.dirname, '../../policies/default.cedar'), 'utf8')
  const text = `${shipped}
@id("nobody-reads") @why("is simulated")
forbid (principal, action in Reeve::Action::"privileged.read", resource);`
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const startedAt = performance.now()
  const { decisions, asked, changed, isCut } = await ada.ask(simulatePolicy, {
    input: { files: [{ name: 'default.cedar', text }], days: 1 },
  })
  delay.disable()
  const seconds = rounded((performance.now() - startedAt) / 1000)
  // The sampler's own millisecond is not a block.
  return { decisions, asked, changed, isCut, seconds, longestBlockMs: rounded(Math.max(0, delay.max / 1e6 - 1)) }
}
