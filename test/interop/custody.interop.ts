import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { loadConfig, type Config } from '../../src/kernel/config.ts'
import { openSession } from '../../src/kernel/db.ts'
import { hpkeSeal, readX25519 } from '../../src/kernel/hpke.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { openSeal, rootKeyFiles } from '../../src/server/custody.ts'
import { rewrapAll } from '../../src/server/rewrap.ts'
import { freshDatabase } from '../support/database.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { openbaoProgram } from './peers/openbao.ts'
import { freePort } from '../support/free-port.ts'

// The root key wrapped by a real OpenBao's transit engine, and a deposit opened by Go's own HPKE.
const cleaning = cleaningOfFile()
const ROOT = 'root-of-the-test'
const POLICY = `
path "transit/encrypt/reeve" { capabilities = ["update"] }
path "transit/decrypt/reeve" { capabilities = ["update"] }`
let address = ''
let folder = ''
let kill = () => {}

async function bao(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const headers = { 'x-vault-token': ROOT, 'x-vault-request': 'true' }
  const answer = await fetch(`${address}/v1/${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  const text = await answer.text()
  assert.ok(answer.ok, `${path}: ${answer.status} ${text}`)
  return text === '' ? {} : JSON.parse(text)
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reeve-custody-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  const port = await freePort()
  address = `http://127.0.0.1:${port}`
  const args = ['server', '-dev', `-dev-root-token-id=${ROOT}`, `-dev-listen-address=127.0.0.1:${port}`]
  const env = { PATH: process.env.PATH, HOME: folder }
  const child = spawn(await openbaoProgram(), args, { stdio: 'ignore', env })
  kill = () => void child.kill('SIGKILL')
  cleaning.after(kill)
  await untilUp()
  await bao('POST', 'sys/mounts/transit', { type: 'transit' })
  await bao('POST', 'transit/keys/reeve', { type: 'aes256-gcm96' })
  await bao('POST', 'transit/keys/other', { type: 'aes256-gcm96' })
  await bao('PUT', 'sys/policies/acl/reeve', { policy: POLICY })
  const { auth } = await bao('POST', 'auth/token/create', { policies: ['reeve'], no_default_policy: true })
  writeFileSync(join(folder, 'token'), `${Object(auth).client_token}\n`, { mode: 0o600 })
})
after(() => cleaning.now())

/** `custody` of a home folder whose key is wrapped by the transit engine. */
function wrapped(home: string, key = 'reeve'): Config {
  const custody = { kind: 'transit', address, key, tokenFile: join(folder, 'token') }
  const flags = Object.fromEntries(Object.entries(custody).map(([name, value]) => [`custody.${name}`, value]))
  return loadConfig({ env: {}, workingFolder: home, flags: { home, 'egress.allow': 'http://127.0.0.0/8', ...flags } })
}

test('a root key goes from its file into the transit engine and back by a rewrap each, and what is sealed opens all along', async (t) => {
  const database = await freshDatabase(t)
  const { db } = database
  const home = mkdtempSync(join(folder, 'home-'))
  const file = join(home, 'keys', 'root.key')
  const plain = loadConfig({ env: {}, workingFolder: home, flags: { home } })
  const first = await openSeal(plain, db)
  const id = '00000000-0000-7000-8000-000000000001'
  const place = `fingerprint_key.sealed_key:${id}`
  const values = { id, sealedKey: first.seal(new Secret('known'), place), createdAt: new Date() }
  await db.insertInto('fingerprintKey').values(values).execute()
  const sealed = async () =>
    (await db.selectFrom('fingerprintKey').select('sealedKey').executeTakeFirstOrThrow()).sealedKey
  const rewrap = async (config: Config) => {
    await using owner = await openSession(database.owner)
    await rewrapAll(owner.db, await rootKeyFiles(config), false)
  }
  await assert.rejects(openSeal(wrapped(home), db), /does not stand as custody.kind says/)

  await rewrap(wrapped(home))

  assert.match(readFileSync(file, 'utf8'), /^vault:v1:/)
  const second = await openSeal(wrapped(home), db)
  assert.equal(
    second
      .open(await sealed(), place)
      .reveal()
      .toString(),
    'known',
  )
  assert.throws(() => first.open(Buffer.from(values.sealedKey), 'elsewhere'))

  // Another version of the key there opens what the one before it wrapped.
  await bao('POST', 'transit/keys/reeve/rotate')
  assert.equal((await openSeal(wrapped(home), db)).keyId, second.keyId)
  await rewrap(wrapped(home))
  assert.match(readFileSync(file, 'utf8'), /^vault:v2:/)
  assert.notEqual((await openSeal(wrapped(home), db)).keyId, second.keyId)
})

test('attack: without the token, with another key, or with a file that was changed nothing opens, and it is said why', async (t) => {
  const { db } = await freshDatabase(t)
  const home = mkdtempSync(join(folder, 'home-'))
  const file = join(home, 'keys', 'root.key')
  await openSeal(wrapped(home), db)
  const good = readFileSync(file, 'utf8')

  await assert.rejects(openSeal(wrapped(home, 'other'), db), /refuses the token/)
  writeFileSync(file, `${good.trim().slice(0, -6)}AAAA==`)
  await assert.rejects(openSeal(wrapped(home), db), /could not decrypt the root key with reeve \(400\)/)
  // Whoever may encrypt with the key does not make a root key of what was wrapped as something else.
  const made = await bao('POST', 'transit/encrypt/reeve', { plaintext: Buffer.alloc(32, 1).toString('base64') })
  writeFileSync(file, String(Object(made['data']).ciphertext))
  await assert.rejects(openSeal(wrapped(home), db), /could not decrypt the root key/)
  const plain = loadConfig({ env: {}, workingFolder: home, flags: { home } })
  await assert.rejects(openSeal(plain, db), /wrapped by a system that custody.kind does not name/)
  writeFileSync(file, good)
  assert.ok(await openSeal(wrapped(home), db))

  kill()
  await assert.rejects(openSeal(wrapped(home), db), /does not answer/)
})

test('what is exported is opened by Go’s HPKE with the private key, and under no other name or version', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  const recipient = readX25519(publicKey.export({ type: 'spki', format: 'pem' }).toString())
  assert.ok(recipient)
  const [info, aad, value] = ['reeve deposit export v1', 'licence:3', 'the value itself']
  const bound = { info: Buffer.from(info), aad: Buffer.from(aad) }
  const { enc, ciphertext } = hpkeSeal(recipient, new Secret(Buffer.from(value)), bound)
  const given = {
    private: Buffer.from(String(privateKey.export({ format: 'jwk' }).d), 'base64url').toString('base64'),
    info,
    aad,
    enc: enc.toString('base64'),
    ciphertext: ciphertext.toString('base64'),
  }
  const program = join(folder, 'hpke')
  await promisify(execFile)('go', ['build', '-o', program, '.'], { cwd: join(import.meta.dirname, 'hpke-go') })
  const opened = async (input: object) => {
    const running = promisify(execFile)(program)
    running.child.stdin?.end(JSON.stringify(input))
    return (await running).stdout
  }

  assert.equal(await opened(given), value)
  await assert.rejects(opened({ ...given, aad: 'licence:2' }))
  await assert.rejects(opened({ ...given, info: 'something else' }))
})

async function untilUp(): Promise<void> {
  const until = Date.now() + 60_000
  for (;;) {
    const answer = await fetch(`${address}/v1/sys/health`).catch(() => undefined)
    if (answer?.ok) return
    assert.ok(Date.now() < until, 'OpenBao did not start')
    await new Promise((resolve) => {
      setTimeout(resolve, 200)
    })
  }
}
