import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeUserCertificate, authorityBlob, type UserCertificate } from './certificate.ts'
import { readSshPublicKey } from './public-key.ts'
import { makeRevocationList } from './revocation-list.ts'
import { string, WireReader } from './wire.ts'

const authority = signer()
const key = readSshPublicKey(ed25519Line())
assert.ok(key)

const terms: UserCertificate = {
  key,
  serial: 7n,
  keyId: 'g/l/bob',
  principals: ['deploy@build-1'],
  validAfter: new Date('2026-01-02T03:04:05Z'),
  validBefore: new Date('2026-01-02T03:14:05Z'),
  sourceAddresses: ['192.0.2.1', '2001:db8::/32'],
  command: null,
  hasTerminal: true,
  nonce: Buffer.alloc(32, 1),
}

function signer() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  return { publicKey: raw, sign: (message: Uint8Array) => sign(null, message, privateKey) }
}

function ed25519Line(): string {
  return `ssh-ed25519 ${Buffer.concat([string('ssh-ed25519'), string(signer().publicKey)]).toString('base64')} bob@laptop`
}

/** The fields of a certificate, read again. */
function read(line: string) {
  const [type = '', encoded = ''] = line.split(' ')
  const blob = Buffer.from(encoded, 'base64')
  const reader = new WireReader(blob)
  const head = { type: reader.text(), nonce: reader.string(), key: reader.string() }
  const serial = reader.uint64()
  const kind = reader.uint32()
  const keyId = reader.text()
  const principals = each(reader.string())
  const [after, before] = [reader.uint64(), reader.uint64()]
  const critical = options(reader.string())
  const extensions = options(reader.string())
  const reserved = reader.string()
  const ca = reader.string()
  const signed = blob.subarray(0, reader.at)
  const signature = new WireReader(reader.string())
  reader.end()
  assert.equal(type, head.type)
  return {
    ...head,
    serial,
    kind,
    keyId,
    principals,
    after,
    before,
    critical,
    extensions,
    reserved,
    ca,
    signed,
    signature,
  }
}

function each(packed: Buffer): string[] {
  const reader = new WireReader(packed)
  const texts: string[] = []
  while (!reader.isAtEnd) texts.push(reader.text())
  return texts
}

function options(packed: Buffer): [string, string][] {
  const reader = new WireReader(packed)
  const found: [string, string][] = []
  while (!reader.isAtEnd) {
    const name = reader.text()
    const data = reader.string()
    found.push([name, data.length === 0 ? '' : new WireReader(data).text()])
  }
  return found
}

test('a certificate says what the grant says and is signed by the authority over exactly that', () => {
  const said = read(makeUserCertificate(terms, authority))

  assert.equal(said.type, 'ssh-ed25519-cert-v01@openssh.com')
  assert.deepEqual([said.serial, said.kind, said.keyId], [7n, 1, 'g/l/bob'])
  assert.deepEqual(said.principals, ['deploy@build-1'])
  assert.deepEqual([said.after, said.before], [1_767_323_045n, 1_767_323_645n])
  assert.deepEqual(said.critical, [['source-address', '192.0.2.1,2001:db8::/32']])
  assert.deepEqual(said.extensions, [['permit-pty', '']])
  assert.ok(said.ca.equals(authorityBlob(authority)))
  assert.equal(said.signature.text(), 'ssh-ed25519')
  const publicKey = createPublicKey({
    key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), authority.publicKey]),
    format: 'der',
    type: 'spki',
  })
  assert.ok(verify(null, said.signed, publicKey, said.signature.string()))
})

test('one command leaves no terminal, and options stand in the order of their names', () => {
  const said = read(makeUserCertificate({ ...terms, command: 'uptime -p', hasTerminal: false }, authority))

  assert.deepEqual(said.critical, [
    ['force-command', 'uptime -p'],
    ['source-address', '192.0.2.1,2001:db8::/32'],
  ])
  assert.deepEqual(said.extensions, [])
})

test('keys of each type OpenSSH makes are read, and nothing else is', () => {
  const { publicKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { publicKey: short } = generateKeyPairSync('rsa', { modulusLength: 1024 })

  assert.ok(readSshPublicKey(rsaLine(rsa)))
  assert.equal(readSshPublicKey(rsaLine(short)), undefined)
  const line = ed25519Line()
  const [type = '', body = ''] = line.split(' ')
  for (const broken of [
    '',
    'ssh-ed25519',
    `ssh-dss ${body}`,
    `ssh-rsa ${body}`,
    `${type} ${body.slice(0, -8)}`,
    `${type} ${Buffer.concat([Buffer.from(body, 'base64'), Buffer.of(0)]).toString('base64')}`,
    `constructor ${body}`,
    makeUserCertificate(terms, authority),
    `command="x" ${line}`,
  ]) {
    assert.equal(readSshPublicKey(broken), undefined, broken.slice(0, 40))
  }
})

function rsaLine(publicKey: KeyObject): string {
  const { e = '', n = '' } = publicKey.export({ format: 'jwk' })
  const modulus = Buffer.concat([Buffer.of(0), Buffer.from(n, 'base64url')])
  const blob = Buffer.concat([string('ssh-rsa'), string(Buffer.from(e, 'base64url')), string(modulus)])
  return `ssh-rsa ${blob.toString('base64')}`
}

test('no line makes the reader of keys throw', () => {
  fc.assert(
    fc.property(fc.constantFrom('ssh-ed25519', 'ssh-rsa', 'x'), fc.uint8Array({ maxLength: 80 }), (type, bytes) => {
      const body = Buffer.concat([string(type), Buffer.from(bytes)])
      readSshPublicKey(`${type} ${body.toString('base64')}`)
    }),
  )
})

test('a list of revoked certificates has its serials in order, under the key that signed them', () => {
  const list = makeRevocationList(9n, new Date('2026-01-02T03:04:05Z'), [
    { authority: authorityBlob(authority), serials: [12n, 3n] },
    { authority: Buffer.from('unused'), serials: [] },
  ])

  assert.equal(list.subarray(0, 8).toString('latin1'), 'SSHKRL\n\0')
  const body = Buffer.concat([string(authorityBlob(authority)), string(''), Buffer.of(0x20)])
  assert.ok(list.includes(body))
  assert.equal(list.subarray(-16).toString('hex'), '0000000000000003000000000000000c')
})
