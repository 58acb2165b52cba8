import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import pg from 'pg'
import { enrol, nobody } from '../../demo/people.ts'
import { registerIdentity } from '../../src/identities/contract.ts'
import { clientConfig } from '../../src/kernel/db.ts'
import { listKeys, readCheckpoint } from '../../src/ledger/contract.ts'
import { cleaningOfFile, founded, type Site } from '../support/installation.ts'

// A whole server, followed over HTTPS by clients that share nothing with it: Go's own tree and note code, and Tessera, by the authors of the
// standard.
const CLIENTS = [
  {
    name: 'golang.org/x/mod',
    folder: 'ledger-go',
    main: './follow',
    edited: /^entry \d+: /,
    wrongKey: /^checkpoint: /,
  },
  { name: 'Tessera', folder: 'tessera-go', main: '.', edited: /^fsck: .*tile\/0\/\d/, wrongKey: /^fsck: .*checkpoint/ },
]
/** A full tile of entries, a partial one, and a tile above them. */
const ENTRIES = 300
const cleaning = cleaningOfFile()
let folder = ''
let site: Awaited<ReturnType<typeof founded>>
let asked: { Prefix: string; Key: string; CA: string | undefined; Token: string | undefined }

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reeve-tiles-'))
  for (const { folder: sources, main } of CLIENTS) {
    const build = ['build', '-o', join(folder, sources), main]
    await promisify(execFile)('go', build, { cwd: join(import.meta.dirname, sources) })
  }
  site = await founded(cleaning)
  const { ada, server } = site
  const erin = await enrol(server, ada, { kind: 'human', name: 'erin', profile: 'person' })
  for (let count = 0; (await ada.ask(readCheckpoint)).size < ENTRIES; count += 1) {
    const names = Array.from({ length: 20 }, (_, at) => `person-${count}-${at}`)
    await Promise.all(
      names.map((name) => ada.ask(registerIdentity, { input: { kind: 'human', name, profile: 'person' } })),
    )
  }
  const [log] = (await ada.ask(listKeys)).items
  assert.ok(log)
  const { address, authority } = nobody(server)
  const Prefix = new URL(`/v1/ledger/logs/${log.log}/`, address).href
  asked = { Prefix, Key: log.key, CA: authority, Token: erin.connection.token?.reveal() }
})

after(async () => {
  await cleaning.now()
  await rm(folder, { recursive: true, force: true })
})

for (const { name, folder: client, wrongKey } of CLIENTS) {
  test(`${name} follows a log over HTTP and proves every entry of it`, async () => {
    const honest = await verdictOn(client, asked)

    assert.match(honest, /^ok \d{3,}$/)
    assert.ok(Number(honest.slice(3)) >= ENTRIES)
    assert.match(await verdictOn(client, { ...asked, Key: OTHER_KEY }), wrongKey)
    assert.match(await verdictOn(client, { ...asked, Token: 'nobody' }), /401/)
  })
}

test('each of them refuses the log after an entry was edited in the database', async () => {
  await edit(site)

  for (const { folder: client, edited } of CLIENTS) assert.match(await verdictOn(client, asked), edited)
})

/** Of nobody here. */
const OTHER_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'

async function verdictOn(client: string, given: object): Promise<string> {
  const child = spawn(join(folder, client), { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify(given))
  return (await text(child.stdout)).trim()
}

/** Somebody who owns the database and turns its triggers off. */
async function edit({ database }: Site): Promise<void> {
  const dba = new pg.Client(clientConfig(database.owner))
  await dba.connect()
  await dba.query('set session_replication_role = replica')
  await dba.query(
    `update ledger_entry set leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'identity.registered', 'identity.activated'), 'UTF8')
      where id = (select max(id) from ledger_entry where kind = 'identity.registered')`,
  )
  await dba.end()
}
