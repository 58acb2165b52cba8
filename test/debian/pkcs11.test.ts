import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { createLocalJWKSet, createRemoteJWKSet, customFetch, jwtVerify, type JSONWebKeySet } from 'jose'
import { issueJwtSvid, issueX509Svid, readSpiffeBundle, rotateSpiffe } from '../../src/credentials/contract.ts'
import { loadConfig, type Config } from '../../src/kernel/config.ts'
import { openSession, type Db } from '../../src/kernel/db.ts'
import { newKeyPair } from '../../src/kernel/key-pair.ts'
import { pkcs11Holder } from '../../src/kernel/pkcs11/holder.ts'
import { CKA, templateOf } from '../../src/kernel/pkcs11/template.ts'
import { memory, openCryptoki, ulong } from '../../src/kernel/pkcs11/cryptoki.ts'
import { Token } from '../../src/kernel/pkcs11/token.ts'
import { formatKeyUri } from '../../src/kernel/pkcs11/uri.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { openSigningKeys } from '../../src/kernel/signing-keys.ts'
import { openSeal, rootKeyFiles } from '../../src/server/custody.ts'
import { rewrapAll } from '../../src/server/rewrap.ts'
import { freshDatabase, type TestDatabase } from '../support/database.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { spiffeWorld, type SpiffeWorld } from '../support/spiffe-world.ts'

// SoftHSM of Debian: a PKCS #11 module whose tokens are folders, so that they can be taken out, spoiled and put back.

const run = promisify(execFile)
const MODULE = '/usr/lib/softhsm/libsofthsm2.so'
const PIN = '5678'
const cleaning = cleaningOfFile()
let folder = ''

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reeve-hsm-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'tokens'))
  const lines = [`directories.tokendir = ${join(folder, 'tokens')}`, 'objectstore.backend = file', 'log.level = ERROR']
  writeFileSync(join(folder, 'softhsm.conf'), `${lines.join('\n')}\n`)
  process.env['SOFTHSM2_CONF'] = join(folder, 'softhsm.conf')
  for (const label of ['reeve', 'other', 'twice', 'twice']) await makeToken(label)
  writeFileSync(join(folder, 'pin'), `${PIN}\n`, { mode: 0o600 })
  writeFileSync(join(folder, 'wrong-pin'), '0000', { mode: 0o600 })
})
after(() => cleaning.now())

async function makeToken(label: string): Promise<void> {
  await run('softhsm2-util', ['--init-token', '--free', '--label', label, '--so-pin', '123456', '--pin', PIN])
}

const tokenAt = (label = 'reeve', pinFile = 'pin') =>
  new Token({ module: MODULE, token: `pkcs11:token=${label}`, pinFile: join(folder, pinFile) })

/** What is configured of a token, as flags. */
const flags = (more: Readonly<Record<string, string>> = {}) => ({
  'pkcs11.module': MODULE,
  'pkcs11.token': 'pkcs11:token=reeve',
  'pkcs11.pinFile': join(folder, 'pin'),
  'pkcs11.rootKey': 'reeve-root',
  ...more,
})

function configOf(home: string, kind: 'file' | 'pkcs11', more: Readonly<Record<string, string>> = {}): Config {
  const set = { home, 'custody.kind': kind, ...flags(more) }
  return loadConfig({ env: {}, workingFolder: home, flags: set })
}

async function rewrap(database: TestDatabase, config: Config): Promise<void> {
  await using owner = await openSession(database.owner)
  await rewrapAll(owner.db, await rootKeyFiles(config), false)
}

const ID = '00000000-0000-7000-8000-000000000001'
const PLACE = `fingerprint_key.sealed_key:${ID}`
const sealedIn = async (db: Db) =>
  (await db.selectFrom('fingerprintKey').select('sealedKey').executeTakeFirstOrThrow()).sealedKey

test('a root key goes from its file into a token and back by a rewrap each, and what is sealed opens all along', async (t) => {
  const database = await freshDatabase(t)
  const { db } = database
  const home = mkdtempSync(join(folder, 'home-'))
  const file = join(home, 'keys', 'root.key')
  const [plain, wrapped] = [configOf(home, 'file'), configOf(home, 'pkcs11')]
  const first = await openSeal(plain, db)
  const sealedKey = first.seal(new Secret('known'), PLACE)
  await db.insertInto('fingerprintKey').values({ id: ID, sealedKey, createdAt: new Date() }).execute()
  const opens = async (config: Config) => {
    const seal = await openSeal(config, db)
    assert.equal(
      seal
        .open(await sealedIn(db), PLACE)
        .reveal()
        .toString(),
      'known',
    )
    return seal
  }
  await assert.rejects(openSeal(wrapped, db), /does not stand as custody.kind says/)

  await rewrap(database, wrapped)
  assert.match(readFileSync(file, 'utf8'), /^pkcs11:v1:/)
  const second = await opens(wrapped)
  await rewrap(database, wrapped)
  const third = await opens(wrapped)
  await rewrap(database, plain)
  assert.match(readFileSync(file, 'utf8'), /^[A-Za-z0-9+/]{43}=\n$/)
  const fourth = await opens(plain)

  assert.equal(new Set([first, second, third, fourth].map(({ keyId }) => keyId)).size, 4)
})

test('attack: without the token, its PIN or its key, or with a file that was changed, nothing opens, and it is said why', async (t) => {
  const { db } = await freshDatabase(t)
  const home = mkdtempSync(join(folder, 'home-'))
  const file = join(home, 'keys', 'root.key')
  const opening = (more: Readonly<Record<string, string>> = {}) => openSeal(configOf(home, 'pkcs11', more), db)
  await opening()
  const good = readFileSync(file, 'utf8')
  assert.ok(!good.includes('reeve-root'))

  await assert.rejects(opening({ 'pkcs11.token': 'pkcs11:token=other' }), /reeve-root is not in the token/)
  await assert.rejects(opening({ 'pkcs11.token': 'pkcs11:token=none' }), /there is no such token/)
  await assert.rejects(opening({ 'pkcs11.token': 'pkcs11:token=twice' }), /more than one token has this name/)
  await assert.rejects(opening({ 'pkcs11.rootKey': 'another' }), /another is not in the token/)
  await assert.rejects(opening({ 'pkcs11.module': join(folder, 'pin') }), /cannot be loaded as a PKCS #11 module/)
  await assert.rejects(opening({ 'pkcs11.pinFile': join(folder, 'nowhere') }), /the PIN .*nowhere cannot be read/)
  await assert.rejects(
    openSeal(loadConfig({ env: {}, workingFolder: home, flags: { home } }), db),
    /wrapped by a system that custody.kind does not name/,
  )
  const bytes = Buffer.from(good.trim().slice('pkcs11:v1:'.length), 'base64')
  bytes[20] = (bytes[20] ?? 0) ^ 1
  writeFileSync(file, `pkcs11:v1:${bytes.toString('base64')}`)
  await assert.rejects(opening(), /wrapped by reeve-root and does not open/)
  // Whoever may encrypt with the key does not make a root key of what was wrapped as something else.
  const [plain, iv] = [Buffer.alloc(32, 1), Buffer.alloc(12, 2)]
  const made = await tokenAt().use((session) => session.encrypt('reeve-root', plain, Buffer.from('something else'), iv))
  writeFileSync(file, `pkcs11:v1:${made.toString('base64')}`)
  await assert.rejects(opening(), /does not open/)
  writeFileSync(file, good)
  chmodSync(join(folder, 'pin'), 0o644)
  await assert.rejects(
    tokenAt('other').use(async () => 1),
    /others may read the PIN/,
  )
  chmodSync(join(folder, 'pin'), 0o600)
  assert.ok(await opening())
})

test('attack: a PIN that was refused is not tried until the token locks', async () => {
  // A process of its own: who is logged in to a token of SoftHSM is so for the whole process.
  const program = `
    import { execFileSync } from 'node:child_process'
    import { Token } from '${join(import.meta.dirname, '../../src/kernel/pkcs11/token.ts')}'
    const at = (pinFile) => new Token({ module: '${MODULE}', token: 'pkcs11:token=spare', pinFile })
    const said = []
    const tried = (pinFile) => at(pinFile).use(async () => said.push('in')).catch(({ message }) => said.push(message))
    const again = (pin) => execFileSync('softhsm2-util', ['--init-token', '--token', 'spare', '--label', 'spare',
      '--so-pin', '123456', '--pin', pin])
    await tried('${join(folder, 'wrong-pin')}')
    // Were it tried now, it would be right.
    again('0000')
    await tried('${join(folder, 'wrong-pin')}')
    again('${PIN}')
    await tried('${join(folder, 'pin')}')
    console.log(JSON.stringify(said))`
  await makeToken('spare')

  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program])

  const said: string[] = JSON.parse(stdout.slice(stdout.lastIndexOf('\n[') + 1))
  assert.equal(said.length, 3)
  for (const one of said.slice(0, 2)) assert.match(one, /refused the PIN in .*wrong-pin, which is not tried again/)
  assert.equal(said[2], 'in')
})

test('attack: a key that can be taken out, or that was put in the place of another, does not sign', async () => {
  const token = tokenAt()
  const holder = pkcs11Holder(token)
  const keys = openSigningKeys(holder)
  const { kept, key } = await keys.make('ES256', 'reeve to be replaced')
  assert.equal((await keys.open(kept, key.publicJwk)).kid, key.kid)
  const reference = kept.reveal().toString('utf8')
  const id = Buffer.from((/id=([^;]+)/.exec(reference)?.[1] ?? '').replaceAll('%', ''), 'hex')

  await holder.destroy(reference)
  await assert.rejects(keys.open(kept, key.publicJwk), /is not in the token/)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = join(folder, 'other.pem')
  writeFileSync(pem, privateKey.export({ format: 'pem', type: 'pkcs8' }))
  const into = ['--import', pem, '--token', 'reeve', '--label', 'x', '--id', id.toString('hex'), '--pin', PIN]
  await run('softhsm2-util', into)
  await assert.rejects(keys.open(kept, key.publicJwk), /is another one than was published/)

  const weak = Buffer.alloc(16, 7)
  await makeExtractablePair(weak)
  await assert.rejects(
    keys.open(new Secret(Buffer.from(formatKeyUri({ id: weak, label: 'weak' }))), key.publicJwk),
    /can be taken out of the token/,
  )
  await assert.rejects(keys.make('EdDSA', 'x'), /sign ES256 only/)
  const without = openSigningKeys()
  await assert.rejects(without.open(kept, key.publicJwk), /the configuration says nothing of who holds it/)
})

/** What no code of ours makes: a private key that the token would hand out. */
async function makeExtractablePair(id: Buffer): Promise<void> {
  await tokenAt().use(async () => undefined)
  const cryptoki = await openCryptoki(MODULE)
  const [slots, count] = [memory(512), ulong(64)]
  await cryptoki.call('C_GetSlotList', 1, slots, count)
  for (let at = 0; at < Number(count.readBigUInt64LE()); at += 1) {
    const slot = slots.readBigUInt64LE(at * 8)
    const info = memory(256)
    await cryptoki.call('C_GetTokenInfo', slot, info)
    if (info.subarray(0, 32).toString('latin1').trimEnd() !== 'reeve') continue
    const handle = ulong(0)
    await cryptoki.call('C_OpenSession', slot, 6, null, null, handle)
    const session = handle.readBigUInt64LE()
    const ofPublic = templateOf(cryptoki, [
      [CKA.token, true],
      [CKA.ecParameters, Buffer.from('06082a8648ce3d030107', 'hex')],
      [CKA.id, id],
    ])
    const ofPrivate = templateOf(cryptoki, [
      [CKA.token, true],
      [CKA.private, true],
      [CKA.sign, true],
      [CKA.extractable, true],
      [CKA.sensitive, false],
      [CKA.id, id],
    ])
    const how = memory(24)
    how.writeBigUInt64LE(0x1040n)
    await cryptoki.call('C_GenerateKeyPair', session, how, ofPublic, 3, ofPrivate, 6, ulong(0), ulong(0))
    await cryptoki.call('C_CloseSession', session)
    return
  }
  assert.fail('the token is not there')
}

test('an installation whose keys are in a token signs tokens, certificates and SVIDs with them', async (t) => {
  const pkcs11 = { module: MODULE, token: 'pkcs11:token=reeve', pinFile: join(folder, 'pin'), rootKey: 'reeve-root' }
  const here = await spiffeWorld(t, { pkcs11, custody: { kind: 'pkcs11' }, keys: { kind: 'pkcs11' } })
  const home = join(here.folder, 'home')
  assert.match(readFileSync(join(home, 'keys', 'root.key'), 'utf8'), /^pkcs11:v1:/)
  assert.match(readFileSync(join(home, 'ca', 'ca.key'), 'utf8'), /^pkcs11:id=/)

  await tokensVerify(here)
  await certificatesVerify(here)
  const svids = await svidsVerify(here)
  await here.ada.ask(rotateSpiffe, { input: { reason: 'a try', distrust: true } })
  assert.notEqual(await svidsVerify(here), svids)
  await here.server.domains.tokens.needs.ring.rotate()
  await tokensVerify(here)
})

async function tokensVerify({ server, folder: site }: SpiffeWorld): Promise<void> {
  const { ring } = server.domains.tokens.needs
  const token = await ring.mint({ sub: 'somebody', exp: Math.floor(Date.now() / 1000) + 60 })
  const ca = join(site, 'home', 'ca', 'ca.pem')
  const keySet = new URL('/.well-known/jwks.json', server.api.url)
  const fetched = createRemoteJWKSet(keySet, {
    [customFetch]: async (url: string) => new Response((await run('curl', ['-sSf', '--cacert', ca, url])).stdout),
  })
  const { payload, protectedHeader } = await jwtVerify(token, fetched)
  assert.deepEqual([payload.sub, protectedHeader.alg], ['somebody', 'ES256'])
  const signature = token.slice(token.lastIndexOf('.') + 1)
  const forged = `${token.slice(0, token.length - signature.length)}${Buffer.alloc(64, 1).toString('base64url')}`
  await assert.rejects(jwtVerify(forged, fetched))
}

async function certificatesVerify({ server, folder: site }: SpiffeWorld): Promise<void> {
  const ca = join(site, 'home', 'ca', 'ca.pem')
  const leaf = join(site, 'leaf.pem')
  writeFileSync(leaf, (await server.authority.issueServer(['reeve.example'])).cert)
  const verify = (...rest: string[]) =>
    execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', ca, ...rest], { encoding: 'utf8' })
  assert.match(verify(ca), /OK/)
  assert.match(verify('-purpose', 'sslserver', '-verify_hostname', 'reeve.example', leaf), /OK/)
  // Many at once, through few sessions.
  const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })
  const many = Array.from({ length: 50 }, () =>
    server.authority.issueClient({ spki, commonName: 'run', ttlSeconds: 60 }),
  )
  const files = (await Promise.all(many)).map(({ cert }, at) => {
    const file = join(site, `run-${at}.pem`)
    writeFileSync(file, cert)
    return file
  })
  assert.equal(verify(...files).match(/OK/g)?.length, 50)
}

let workloads = 0
async function svidsVerify(here: SpiffeWorld): Promise<string> {
  const identity = `payments-${(workloads += 1)}`
  const workload = await here.workload(identity)
  const { publicKey } = await newKeyPair()
  const params = { identity }
  const { certificate, bundle } = await workload.ask(issueX509Svid, { params, input: { publicKey } })
  const [leaf, anchors] = [join(here.folder, 'svid.pem'), join(here.folder, 'bundle.pem')]
  writeFileSync(leaf, certificate)
  writeFileSync(anchors, bundle)
  assert.match(
    execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', anchors, leaf], { encoding: 'utf8' }),
    /OK/,
  )
  const { token } = await workload.ask(issueJwtSvid, { params, input: { audience: ['db'] } })
  const published: JSONWebKeySet = JSON.parse((await here.nobody.bytes(readSpiffeBundle)).toString('utf8'))
  const ofJwt = published.keys.filter(({ use }) => use === 'jwt-svid').map((key) => ({ ...key, use: 'sig' }))
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet({ keys: ofJwt }), { audience: 'db' })
  assert.equal(payload.sub, `spiffe://example.org/workload/${identity}`)
  return protectedHeader.kid ?? ''
}

test('a token that is taken out is missed, and signs again when it is back, without a restart', async () => {
  await makeToken('moving')
  const moving = tokenAt('moving')
  const keys = openSigningKeys(pkcs11Holder(moving))
  const { key } = await keys.make('ES256', 'reeve while it moves')
  assert.equal((await key.sign(Buffer.from('a'))).length, 64)
  const [all, away] = [join(folder, 'tokens'), join(folder, 'away')]

  renameSync(all, away)
  mkdirSync(all)
  await assert.rejects(async () => {
    await key.sign(Buffer.from('b'))
  }, /the PKCS #11 token pkcs11:token=moving of .* cannot be used/)
  rmSync(all, { recursive: true })
  renameSync(away, all)

  assert.equal((await key.sign(Buffer.from('c'))).length, 64)
  assert.ok(existsSync(all))
})
