import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { parse } from 'yaml'
import { withKey } from '../../demo/database-client.ts'
import { requestAccess, revokeGrant } from '../../src/access/contract.ts'
import { clientConfig } from '../../src/kernel/db.ts'
import { VERSION } from '../../src/version.ts'
import { runningCluster } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { cleaningOfFile, installation, type Installation } from '../support/installation.ts'
import { reeve, type Place, type Ran } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'

const cleaning = cleaningOfFile()
let here: Installation
let erin: Place
let bob: Place

before(async () => {
  here = await installation(cleaning)
  erin = placeOf(here.folder, 'erin', here.cast.erin)
  bob = placeOf(here.folder, 'bob', here.cast.bob)
})

after(() => cleaning.now())

const READ = { target: 'shop-db', account: 'app', actions: ['postgres.read'], purpose: 'shop-operations' }

async function readingSession() {
  const { grantId } = await here.cast.bob.ask(requestAccess, { input: READ })
  const client = await withKey(here.cast.bob, here.door, grantId ?? '')
  await client.query(`select id from shop.orders where customer = 'somebody private'`)
  return { grantId: grantId ?? '', client }
}

async function json(place: Place, ...args: string[]): Promise<{ items: Record<string, unknown>[] }> {
  const { code, stdout, stderr } = await reeve(place, [...args, '-o', 'json'])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

test('who one is, where one is, and which versions are at work', async () => {
  const who = await reeve(bob, ['whoami'])
  assert.deepEqual([who.code, who.stderr], [0, ''])
  assert.match(who.stdout, /name +bob\n/)

  const { stdout } = await reeve(bob, ['version', '-o', 'json'])
  assert.deepEqual(JSON.parse(stdout), { client: VERSION, server: VERSION })
})

test('a live session is listed, shown and ended; its client is told who cut it, and the recording says so', async () => {
  const { client } = await readingSession()
  const query = assert.rejects(client.query('select pg_sleep(600)'), (error: { code?: string; message: string }) => {
    assert.equal(error.code, '57P01')
    return true
  })
  const live = await json(erin, 'session', 'list', '--live')
  const id = String(live.items[0]?.['id'])
  assert.match((await reeve(bob, ['session', 'show', id])).stdout, /bob/)

  const ended = await reeve(erin, ['session', 'end', id, '--reason', 'looks wrong'])

  assert.equal(ended.code, 0, ended.stderr)
  await query
  await eventually(async () => ((await json(erin, 'session', 'list', '--live')).items.length === 0 ? true : undefined))
  const played = await reeve(erin, ['session', 'play', id])
  assert.equal(played.code, 0, played.stderr)
  assert.match(played.stdout, /postgres\.read/)
  assert.ok(!played.stdout.includes('somebody private'))
  const verified = await reeve(erin, ['session', 'verify', id])
  assert.match(verified.stdout, /intact/)
})

test('security opens the values of a recording with a reason, and the ledger has who did', async () => {
  const { client } = await readingSession()
  await client.end()
  const { items } = await json(erin, 'session', 'list')
  const id = String(items[0]?.['id'])

  const revealed = await eventually(async () => {
    const ran = await reeve(erin, ['session', 'reveal', id, '--reason', 'incident 12'])
    return ran.stdout.includes('somebody private') ? ran : undefined
  })

  assert.equal(revealed.code, 0, revealed.stderr)
  const ledger = await json(erin, 'ledger', 'list', '--resource', id)
  assert.ok(ledger.items.some(({ kind }) => String(kind).includes('reveal')))
})

test('leases are listed with their state until they are proven dead', async () => {
  const { grantId, client } = await readingSession()
  const [lease] = (await json(bob, 'lease', 'list', '--grant-id', grantId)).items
  assert.equal(lease?.['state'], 'issued')

  await here.cast.erin.ask(revokeGrant, { params: { grant: grantId }, input: { reason: 'enough' } })
  await client.end().catch(() => undefined)

  const dead = await eventually(async () => {
    const { items } = await json(bob, 'lease', 'list', '--grant-id', grantId)
    return items[0]?.['state'] === 'dead' ? items[0] : undefined
  })
  assert.ok(dead['evidence'])
})

test('the exit code says what it was: 0 done, 1 usage, 2 server, 3 denied, 5 over', async () => {
  const { grantId, client } = await readingSession()
  await client.end()
  const over = ['grant', 'revoke', grantId, '--reason', 'no more']
  const codes = async (place: Place, ...args: string[]): Promise<[number, string]> => {
    const { code, stderr } = await reeve(place, args)
    return [code, stderr]
  }

  const done = await codes(erin, ...over)
  const again = await codes(erin, ...over)
  const usage = await codes(bob, 'grant', 'revok', grantId)
  const unknown = await codes(bob, 'target', 'show', 'shop-dv')
  const denied = await codes(bob, 'ledger', 'list')
  const nowhere = await codes({ ...bob, env: { ...bob.env, REEVE_ADDR: 'https://127.0.0.1:9' } }, 'whoami')
  const nobody = await codes({ ...bob, env: { PATH: process.env.PATH, HOME: bob.folder } }, 'whoami')

  assert.deepEqual(
    [done, again, usage, unknown, denied, nowhere, nobody].map(([code]) => code),
    [0, 5, 1, 2, 3, 2, 1],
  )
  assert.match(again[1], /over|ended/)
  assert.match(usage[1], /Did you mean revoke\?/)
  assert.match(unknown[1], /reeve target list/)
  assert.match(denied[1], /You may not do ledger\.list here/)
  assert.match(nowhere[1], /Nothing answers at https:\/\/127\.0\.0\.1:9/)
  assert.match(nobody[1], /reeve enrol <link>/)
})

const bare = (more: NodeJS.ProcessEnv = {}): Place => ({
  folder: here.folder,
  env: { PATH: process.env.PATH, HOME: here.folder, ...more },
})

test('a configuration is checked and printed: secrets say only that they are, a slip is named with the nearest key', async () => {
  const file = ['--config', here.config]
  const checked = await reeve(bare(), ['config', 'check', ...file])
  assert.deepEqual([checked.code, checked.stdout], [0, ''], checked.stderr)

  const printed = await reeve(bare(), ['config', 'print', ...file])
  const password = runningCluster().server.password.reveal()
  assert.equal(printed.code, 0, printed.stderr)
  assert.ok(readFileSync(here.config, 'utf8').includes(encodeURIComponent(encodeURIComponent(password)).slice(0, 8)))
  assert.ok(!printed.stdout.includes(password))
  assert.equal(parse(printed.stdout).limits.requestBurst, 10_000)

  const slip = await reeve(bare(), ['config', 'check', ...file, '--set', 'api.prot=7300'])
  assert.equal(slip.code, 1)
  assert.match(slip.stderr, /api\.prot is not known: did you mean api\.port\?/)
  const variable = await reeve(bare({ REEVE_DATABASE_URI: 'x' }), ['config', 'check', ...file])
  assert.match(variable.stderr, /REEVE_DATABASE_URI is not known: did you mean REEVE_DATABASE_URL\?/)
})

test('an external database is migrated by its owner, once; until then the server says what to run', async (t) => {
  const { owner, server } = runningCluster()
  const admin = new pg.Client(clientConfig({ ...owner, database: 'postgres' }))
  await admin.connect()
  const database = `reeve_external_${process.pid}`
  await admin.query(`create database ${database}`)
  t.after(async () => {
    await admin.query(`drop database ${database} with (force)`)
    await admin.end()
  })
  const home = join(here.folder, 'external')
  mkdirSync(home)
  const secret = (name: string, { user, password, host, port }: typeof owner) => {
    const url = new URL(`postgresql://localhost/${database}`)
    url.username = user
    url.password = encodeURIComponent(password.reveal())
    url.searchParams.set('host', host)
    url.searchParams.set('port', String(port))
    writeFileSync(join(home, name), `${url.href}\n`)
    return join(home, name)
  }
  const env = { REEVE_HOME: home, REEVE_DATABASE_URL_FILE: secret('server', server), REEVE_API_PORT: '0' }
  const owned = bare({ ...env, REEVE_DATABASE_OWNER_URL_FILE: secret('owner', owner) })

  const early = await reeve(bare(env), ['start'])
  const unowned = await reeve(bare(env), ['migrate'])
  const first: Ran = await reeve(owned, ['migrate'])
  const second = await reeve(owned, ['migrate'])

  assert.equal(early.code, 1)
  assert.match(early.stderr, /the database has no schema yet: run `reeve migrate`/)
  assert.equal(unowned.code, 1)
  assert.match(unowned.stderr, /REEVE_DATABASE_OWNER_URL/)
  assert.equal(first.code, 0, first.stderr)
  assert.match(first.stdout, /is applied\.\n(?:.*\n)*The schema is at /)
  assert.equal(second.code, 0)
  assert.doesNotMatch(second.stdout, /is applied/)
})
