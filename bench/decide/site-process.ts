/**
 * A whole node in a process of its own, as it is shipped: its own PostgreSQL, which syncs each commit, the shipped policies, and an
 * enforcement point that asks about people. Started by http.ts.
 */
import { sql } from 'kysely'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { enrol, enrolFounder, redeem } from '../../demo/people.ts'
import { approvePurpose, proposePurpose, registerAccount, registerTarget } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { loadConfig } from '../../src/kernel/config.ts'
import { openLog } from '../../src/kernel/log.ts'
import { startServer, type RunningServer } from '../../src/server.ts'
import { countedStatements, countStatements } from '../support/statements.ts'
import type { Ask, SiteReady, Statement } from './messages.ts'

/** Asked about in turn, so that nothing lives off the last question. */
const PEOPLE = Array.from({ length: 16 }, (_, at) => `person-${at}`)
const PATH = '/access/v1/evaluation'
const DAY_MS = 86_400_000

process.once('message', ({ folder }: { folder: string }) => {
  start(folder).then(
    ({ server, ready }) => {
      process.on('message', (ask: Ask) => void answer(server, ask).then((told) => process.send?.({ told })))
      process.once('disconnect', () => void server[Symbol.asyncDispose]().then(() => process.exit()))
      process.send?.(ready)
    },
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})

async function start(folder: string): Promise<{ server: RunningServer; ready: SiteReady }> {
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
  const { connection } = await populate(server)
  const { authority } = server
  const { cert, key } = authority.issueServer(['localhost', '127.0.0.1'])
  const token = connection.token?.reveal() ?? ''
  const requests = {
    plain: PEOPLE.map((person) => requestOf(token, plainQuestion(person))),
    durable: PEOPLE.map((person) => requestOf(token, durableQuestion(person))),
  }
  const { port } = server.api
  return { server, ready: { ready: { port, ca: authority.certificate, cert, key: key.reveal(), requests } } }
}

/** People, one account in staging, a purpose that covers it, and who asks. */
async function populate(server: RunningServer): Promise<Client> {
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
  return redeem(server, secret)
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
function durableQuestion(person: string) {
  return {
    subject: { type: 'user', id: person },
    action: { name: 'postgres.read' },
    resource: { type: 'account', id: 'app@stub' },
    context: {
      purpose: 'measuring',
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

async function answer({ ground }: RunningServer, ask: Ask): Promise<number | readonly Statement[]> {
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
