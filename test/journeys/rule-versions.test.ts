import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { enrolFounder, TEAMS } from '../../demo/people.ts'
import { applyChange, approveChange, Change, readChange, requestAccess } from '../../src/access/contract.ts'
import { listActions } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { loadConfig } from '../../src/kernel/config.ts'
import { silentLog } from '../../src/kernel/log.ts'
import type { Operation } from '../../src/kernel/operation.ts'
import { observationsOf } from '../../src/ledger/ledger.ts'
import { calendarVersions, catalogVersions, teamVersions } from '../../src/policy/contract.ts'
import { startServer } from '../../src/server.ts'
import { eventually } from '../support/eventually.ts'
import { cleaningOfFile, installation, site, type Installation } from '../support/installation.ts'
import { reeve } from '../support/program.ts'

let on: Installation
const cleaning = cleaningOfFile()
const ADMIN = {
  target: 'shop-db',
  account: 'app',
  actions: ['postgres.privilege'],
  purpose: 'shop-operations',
  reason: 'A role needs to read the orders.',
}
const FREEZE = `freezes:
  year-end: {environments: [production], from: 2020-01-01T00:00:00Z, until: 2099-01-01T00:00:00Z}
`

before(async () => {
  on = await installation(cleaning)
})
after(() => cleaning.now())

/** The command line as Ada has it. */
async function cli(by: Client, ...args: string[]) {
  const { address, authority = '', token } = by.connection
  writeFileSync(join(on.folder, 'ca.pem'), authority)
  const env = {
    PATH: process.env.PATH,
    HOME: on.folder,
    REEVE_ADDR: address.href,
    REEVE_TOKEN: token?.reveal(),
    REEVE_CACERT: join(on.folder, 'ca.pem'),
  }
  return reeve({ folder: on.folder, env }, args)
}

async function proposed(noun: string, text: string): Promise<string> {
  const file = join(on.folder, `${noun}.yaml`)
  writeFileSync(file, text)
  const { code, stdout, stderr } = await cli(on.cast.ada, noun, 'propose', file, '--note', 'as agreed', '-o', 'name')
  assert.equal(code, 0, stderr)
  assert.match(stderr, new RegExp(`reeve ${noun} activate .* --request-approval`))
  return stdout.trim()
}

async function asked(operation: Operation, params: Record<string, string>): Promise<Change> {
  return Change.parse(await on.cast.ada.call(operation, { params, requestApproval: 'as agreed' }))
}

/** Approved by Erin of security as she reads it, applied by Ada. */
async function carriedOut(change: Pick<Change, 'id'>): Promise<void> {
  const params = { change: change.id }
  const { boundSha256 } = await on.cast.erin.ask(readChange, { params })
  await on.cast.erin.ask(approveChange, { params, input: { boundSha256 } })
  await on.cast.ada.ask(applyChange, { params })
}

function refusal(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'nothing',
    (error: unknown) => (error instanceof Error && 'slug' in error ? String(error.slug) : String(error)),
  )
}

test('an approver of a freeze reads what it would have refused in the last days; it holds on every door, and one command lifts it', async () => {
  const { carol, erin } = on.cast
  await carol.ask(requestAccess, { input: ADMIN })
  const { db } = on.server.ground
  await eventually(async () => {
    for await (const { facts } of observationsOf(db, 'decision.made', new Date(Date.now() - 3_600_000))) {
      if (facts['asked'] === 'postgres.privilege') return true
    }
    return undefined
  })
  const change = await asked(calendarVersions.activate, { version: await proposed('calendar', FREEZE) })
  const { simulation, preview } = await erin.ask(readChange, { params: { change: change.id } })

  assert.match(
    simulation.join('\n'),
    /^over the last 7 days of recorded decisions:\n1 decision would change: 1 would be refused/,
  )
  assert.ok(
    simulation.some((line) => /^1 decision: Person, postgres\.privilege: permit; .* → deny$/.test(line)),
    simulation.join('\n'),
  )
  assert.match(preview[1] ?? '', /^freeze year-end is new/)
  const read = await cli(erin, 'change', 'read', change.id)
  assert.match(read.stdout, /1 decision would change: 1 would be refused/)
  await carriedOut(change)

  assert.equal(await refusal(carol.ask(requestAccess, { input: ADMIN })), 'not-permitted')
  await carriedOut(await asked(calendarVersions.revert, {}))
  assert.equal(await refusal(carol.ask(requestAccess, { input: ADMIN })), 'nothing')
})

test('teams that others approved count at once, on every node that runs and on one that starts', async (t) => {
  const fresh = { ...TEAMS, shop: { members: ['bob'] }, auditors: { members: ['carol', 'erin'] } }
  const change = await asked(teamVersions.activate, {
    version: await proposed('team', JSON.stringify({ teams: fresh })),
  })
  const { preview } = await on.cast.erin.ask(readChange, { params: { change: change.id } })
  assert.deepEqual(preview.slice(1), ['carol joins auditors', 'carol leaves shop'])
  const config = loadConfig({ env: {}, workingFolder: on.folder, file: on.config })
  const running = await startServer(config, silentLog)
  t.after(() => running[Symbol.asyncDispose]())
  const teamsOn = (server: typeof running) => server.domains.access.teams.teamsOf('carol')
  assert.deepEqual(teamsOn(running), ['shop'])

  await carriedOut(change)

  assert.deepEqual(teamsOn(on.server), ['auditors'])
  assert.ok(await eventually(async () => (teamsOn(running).includes('auditors') ? true : undefined)))
  const late = await startServer(config, silentLog)
  t.after(() => late[Symbol.asyncDispose]())
  assert.deepEqual(teamsOn(late), ['auditors'])
  await carriedOut(await asked(teamVersions.revert, {}))
  assert.deepEqual(teamsOn(on.server), ['shop'])
})

test('a later start does not take the catalog back that others approved', async (t) => {
  const text = 'actions: {postgres.read: {tier: 0}, ssh.root: {summary: Acts as root.}}'
  const change = await asked(catalogVersions.activate, { version: await proposed('catalog', text) })
  await carriedOut(change)
  const tierOf = async (name: string) => {
    const { items } = await on.cast.bob.ask(listActions, { query: { limit: 200 } })
    return items.find((action) => action.name === name)?.tier
  }
  assert.equal(await tierOf('postgres.read'), 0)

  const late = await startServer(loadConfig({ env: {}, workingFolder: on.folder, file: on.config }), silentLog)
  t.after(() => late[Symbol.asyncDispose]())

  assert.equal(await tierOf('postgres.read'), 0)
  await carriedOut(await asked(catalogVersions.revert, {}))
  assert.notEqual(await tierOf('postgres.read'), 0)
})

test('teams that are pinned are those of the files, whatever versions there are, and versions of them are refused', async (t) => {
  const pinned = await site(t, { pinned: ['teams'] })
  const ada = await enrolFounder(pinned.server)

  const refused = ada.ask(teamVersions.propose, { input: { text: 'teams: {}' } })

  await assert.rejects(refused, /`pinned` in the configuration names teams/)
  assert.deepEqual((await ada.ask(teamVersions.list)).items, [])
  assert.deepEqual(pinned.server.domains.access.teams.teamsOf('erin'), ['auditors', 'security'])
  assert.equal((await ada.ask(calendarVersions.list)).items.length, 1)
})
