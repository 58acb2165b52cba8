import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { issueX509Svid } from '../../src/credentials/contract.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { loadConfig, type Config } from '../../src/kernel/config.ts'
import { openSession } from '../../src/kernel/db.ts'
import { openEgress } from '../../src/kernel/egress.ts'
import { newKeyPair } from '../../src/kernel/key-pair.ts'
import { openKms } from '../../src/kernel/kms/client.ts'
import { kmsHolder } from '../../src/kernel/kms/holder.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { openSigningKeys } from '../../src/kernel/signing-keys.ts'
import { openSeal, rootKeyFiles } from '../../src/server/custody.ts'
import { rewrapAll } from '../../src/server/rewrap.ts'
import { freshDatabase } from '../support/database.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { spiffeWorld } from '../support/spiffe-world.ts'
import { motoServer } from './peers/moto.ts'
import { pythonWith } from './peers/python.ts'

// AWS KMS as moto has it: it encrypts with the context bound, signs with P-256, and checks who asks by the policies of IAM. It knows no policies
// of keys, uses keys that are about to be deleted, and hashes what was hashed already: those are AWS's word and not proven here.

const REGION = 'eu-central-1'
const cleaning = cleaningOfFile()
let folder = ''
let python = ''
let url = ''
let moto = ''
let rootKey = ''
let otherKey = ''
let by = ['AKIAREEVETEST', 'a-key-of-the-test']
let stopMoto = () => {}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reeve-kms-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  python = await pythonWith('moto', ['moto[server]==5.2.5'])
  const server = await motoServer(cleaning)
  ;({ url: moto, stop: stopMoto } = server)
  url = await typed(Number(new URL(moto).port))
  const made = boto([
    'kms = boto3.client("kms", endpoint_url=url)',
    'iam = boto3.client("iam", endpoint_url=url)',
    'root, other = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]',
    'kms.create_alias(AliasName="alias/reeve-root", TargetKeyId=root)',
    'def user(name, actions):',
    '  iam.create_user(UserName=name)',
    '  rule = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}',
    '  iam.put_user_policy(UserName=name, PolicyName="kms", PolicyDocument=json.dumps(rule))',
    '  key = iam.create_access_key(UserName=name)["AccessKey"]',
    '  return [key["AccessKeyId"], key["SecretAccessKey"]]',
    'may = ["Encrypt", "Decrypt", "Sign", "GetPublicKey", "CreateKey", "TagResource", "ScheduleKeyDeletion"]',
    'reeve = user("reeve", ["kms:" + each for each in may])',
    'nobody = user("nobody", ["s3:ListAllMyBuckets"])',
    'admin = user("admin", ["kms:*"])',
    'print(json.dumps({"root": root, "other": other, "reeve": reeve, "nobody": nobody, "admin": admin}))',
  ])
  const { root, other, reeve, nobody, admin } = JSON.parse(made)
  by = admin
  rootKey = root
  otherKey = other
  const section = (name: string, [id, secret]: string[]) =>
    `[${name}]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`
  const wrong = [reeve[0], 'a-secret-that-is-another']
  const text = [section('default', reeve), section('nobody', nobody), section('wrong', wrong), '[empty]\n']
  writeFileSync(join(folder, 'aws'), text.join('\n'), { mode: 0o600 })
  // From here on keys and policies count.
  await fetch(`${moto}/moto-api/reset-auth`, { method: 'POST', body: '0' })
})
after(() => cleaning.now())

/** Moto says that its JSON is HTML, which our client refuses; this door in front of it says what AWS says and changes nothing else. */
async function typed(port: number): Promise<string> {
  const door = createServer((asked, answer) => {
    const { method, url: path, headers } = asked
    const passed = request({ host: '127.0.0.1', port, method, path, headers }, (given) => {
      answer.writeHead(given.statusCode ?? 0, { 'content-type': 'application/x-amz-json-1.1' })
      given.pipe(answer)
    })
    passed.on('error', () => answer.destroy())
    asked.pipe(passed)
  }).listen(0, '127.0.0.1')
  await once(door, 'listening')
  cleaning.after(() => door.close())
  const found = door.address()
  return `http://127.0.0.1:${typeof found === 'object' && found ? found.port : 0}`
}

/** Runs a few lines of Python with boto3 in them. */
function boto(lines: readonly string[]): string {
  const script = ['import boto3, json', `url = ${JSON.stringify(moto)}`, ...lines].join('\n')
  const admin = { AWS_ACCESS_KEY_ID: by[0], AWS_SECRET_ACCESS_KEY: by[1] }
  const env = { PATH: process.env.PATH, AWS_DEFAULT_REGION: REGION, AWS_EC2_METADATA_DISABLED: 'true', ...admin }
  return execFileSync(python, ['-c', script], { env, encoding: 'utf8', timeout: 60_000 })
}

function configOf(home: string, kind: 'file' | 'kms', more: Readonly<Record<string, string>> = {}): Config {
  const kms = {
    'kms.region': REGION,
    'kms.address': url,
    'kms.credentialsFile': join(folder, 'aws'),
    'kms.rootKey': rootKey,
  }
  const flags = { home, 'egress.allow': 'http://127.0.0.0/8', 'custody.kind': kind, ...kms, ...more }
  return loadConfig({ env: {}, workingFolder: home, flags })
}

const kmsAs = (profile: string) =>
  openKms(openEgress({ allow: ['http://127.0.0.0/8'] }), systemClock, {
    region: REGION,
    address: url,
    credentialsFile: join(folder, 'aws'),
    profile,
  })

test('a root key goes from its file into AWS KMS and back by a rewrap each, and what is sealed opens all along', async (t) => {
  const database = await freshDatabase(t)
  const { db } = database
  const home = mkdtempSync(join(folder, 'home-'))
  const file = join(home, 'keys', 'root.key')
  const [plain, wrapped] = [configOf(home, 'file'), configOf(home, 'kms')]
  const first = await openSeal(plain, db)
  const id = '00000000-0000-7000-8000-000000000001'
  const place = `fingerprint_key.sealed_key:${id}`
  const sealedKey = first.seal(new Secret('known'), place)
  await db.insertInto('fingerprintKey').values({ id, sealedKey, createdAt: new Date() }).execute()
  const opens = async (config: Config) => {
    const row = await db.selectFrom('fingerprintKey').select('sealedKey').executeTakeFirstOrThrow()
    const seal = await openSeal(config, db)
    assert.equal(seal.open(row.sealedKey, place).reveal().toString(), 'known')
    return seal.keyId
  }
  const rewrap = async (config: Config) => {
    await using owner = await openSession(database.owner)
    await rewrapAll(owner.db, await rootKeyFiles(config), false)
  }
  await assert.rejects(openSeal(wrapped, db), /does not stand as custody.kind says/)

  await rewrap(wrapped)
  assert.match(readFileSync(file, 'utf8'), /^aws-kms:v1:/)
  const second = await opens(wrapped)
  assert.equal(await opens(configOf(home, 'kms', { 'kms.rootKey': 'alias/reeve-root' })), second)
  await rewrap(plain)

  assert.notEqual(await opens(plain), second)
})

test('attack: with another key, no right, wrong credentials or a file that was changed nothing opens, and it is said why', async (t) => {
  const { db } = await freshDatabase(t)
  const home = mkdtempSync(join(folder, 'home-'))
  const file = join(home, 'keys', 'root.key')
  const opening = (more: Readonly<Record<string, string>> = {}) => openSeal(configOf(home, 'kms', more), db)
  await opening()
  const good = readFileSync(file, 'utf8')

  await assert.rejects(opening({ 'kms.rootKey': otherKey }), /another key|does not let these credentials do that/)
  await assert.rejects(opening({ 'kms.profile': 'nobody' }), /does not let these credentials do that/)
  await assert.rejects(opening({ 'kms.profile': 'wrong' }), /the credentials are wrong|does not let these/)
  await assert.rejects(opening({ 'kms.profile': 'empty' }), /has no aws_access_key_id/)
  const bytes = Buffer.from(good.trim().slice('aws-kms:v1:'.length), 'base64')
  const last = bytes.length - 1
  bytes[last] = (bytes[last] ?? 0) ^ 1
  writeFileSync(file, `aws-kms:v1:${bytes.toString('base64')}`)
  await assert.rejects(opening(), /for another purpose, or the file was changed/)
  // Whoever may encrypt with the key does not make a root key of what was wrapped as something else.
  const made = boto([
    'kms = boto3.client("kms", endpoint_url=url)',
    `import base64; blob = kms.encrypt(KeyId=${JSON.stringify(rootKey)}, Plaintext=b"1" * 32, EncryptionContext={"purpose": "else"})`,
    'print(base64.b64encode(blob["CiphertextBlob"]).decode())',
  ])
  writeFileSync(file, `aws-kms:v1:${made}`)
  await assert.rejects(opening(), /for another purpose, or the file was changed/)
  writeFileSync(file, good)
  assert.ok(await opening())
})

test('an installation whose keys are in AWS KMS signs tokens, certificates and SVIDs with them', async (t) => {
  const kms = { region: REGION, address: url, credentialsFile: join(folder, 'aws'), rootKey }
  const egress = { allow: ['http://127.0.0.0/8'] }
  const here = await spiffeWorld(t, { kms, egress, custody: { kind: 'kms' }, keys: { kind: 'kms' } })
  const ca = join(here.folder, 'home', 'ca', 'ca.pem')
  assert.match(readFileSync(join(here.folder, 'home', 'ca', 'ca.key'), 'utf8'), /^arn:aws:kms:/)
  const { ring } = here.server.domains.tokens.needs
  const verified = async () => {
    const token = await ring.mint({ sub: 'somebody', exp: Math.floor(Date.now() / 1000) + 60 })
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet({ keys: [...ring.published().keys] }))
    assert.equal(payload.sub, 'somebody')
    return protectedHeader.kid
  }
  const openssl = (anchors: string, pem: string) => {
    const leaf = join(here.folder, 'leaf.pem')
    writeFileSync(leaf, pem)
    return execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', anchors, leaf], { encoding: 'utf8' })
  }

  const kid = await verified()
  await ring.rotate()
  assert.notEqual(await verified(), kid)
  assert.match(openssl(ca, (await here.server.authority.issueServer(['reeve.example'])).cert), /OK/)
  const workload = await here.workload('payments')
  const { publicKey } = await newKeyPair()
  const svid = await workload.ask(issueX509Svid, { params: { identity: 'payments' }, input: { publicKey } })
  const bundle = join(here.folder, 'bundle.pem')
  writeFileSync(bundle, svid.bundle)
  assert.match(openssl(bundle, svid.certificate), /OK/)

  const gone = signingKeysIn('PendingDeletion')
  assert.equal(gone.length, 1, 'what signs no more is destroyed')
  assert.equal(signingKeysIn('Enabled').length, 7, 'of tokens two, of SVIDs four, of the CA one')
})

test('attack: a key that may not be used, or is another, makes a refusal and no signature', async () => {
  const keys = openSigningKeys(kmsHolder(kmsAs('default')))
  const { kept, key } = await keys.make('ES256', 'to be deleted')
  await assert.rejects(openSigningKeys(kmsHolder(kmsAs('nobody'))).open(kept, key.publicJwk), /does not let these/)
  const another = await keys.make('ES256', 'another')
  await assert.rejects(keys.open(another.kept, key.publicJwk), /is another one than was published/)

  await keys.discard(kept)
  await keys.discard(kept)
  assert.ok(signingKeysIn('PendingDeletion').includes(kept.reveal().toString('utf8')))

  stopMoto()
  await assert.rejects(keys.open(another.kept, another.key.publicJwk), /does not answer/)
})

/** By their ARN. */
function signingKeysIn(state: string): string[] {
  const said = boto([
    'kms = boto3.client("kms", endpoint_url=url)',
    'keys = [kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"] for each in kms.list_keys()["Keys"]]',
    `fits = lambda key: key.get("KeyUsage") == "SIGN_VERIFY" and key["KeyState"] == ${JSON.stringify(state)}`,
    'print(json.dumps([each["Arn"] for each in keys if fits(each)]))',
  ])
  return JSON.parse(said)
}
