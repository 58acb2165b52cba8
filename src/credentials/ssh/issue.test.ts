import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { newKeyPair, opensshPublicKey } from '../../kernel/key-pair.ts'
import { finishGrant, readGrant, revokeGrant } from '../../access/contract.ts'
import { ApiProblem } from '../../cli/problems.ts'
import { cleaningOfFile } from '../../../test/support/installation.ts'
import { sshWorld, type SshWorld } from '../../../test/support/ssh-world.ts'
import { listLeases } from '../contract.ts'
import { issueSshCertificate, listSshAuthorities, readSshRevocations, rotateSshAuthority } from './contract.ts'
import { WireReader } from './wire.ts'

let here: SshWorld
const cleaning = cleaningOfFile()

before(async () => {
  here = await sshWorld(cleaning, { account: 'deploy', hostKey: opensshPublicKey(await newKeyPair()) })
})
after(() => cleaning.now())

async function sign(grant: string, more: Readonly<Record<string, unknown>> = {}, by = here.bob) {
  const publicKey = opensshPublicKey(await newKeyPair())
  return by.ask(issueSshCertificate, { params: { grant }, input: { publicKey, ...more } })
}

async function revoked(): Promise<Buffer> {
  return Buffer.from(await here.nobody.bytes(readSshRevocations))
}

function serialBytes(serial: string): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(serial))
  return bytes
}

const refusedAs = (slug: string) => (error: unknown) => error instanceof ApiProblem && error.slug === slug

test('a certificate names the account at this host alone, is good from where the caller is, and ends before the grant', async () => {
  const grant = await here.grant(['ssh.shell'], { ttlSeconds: 300 })

  const signed = await sign(grant)

  assert.deepEqual(signed.principals, ['deploy@build-1'])
  assert.deepEqual(signed.sourceAddresses, ['127.0.0.1'])
  const { expiresAt, uses } = await here.bob.ask(readGrant, { params: { grant } })
  assert.equal(signed.validBefore.getTime(), expiresAt.getTime())
  assert.equal(uses, 1)
  const { items } = await here.bob.ask(listLeases, { query: { grantId: grant } })
  assert.deepEqual(
    items.map(({ kind, state, revocability, residualBefore }) => [
      kind,
      state,
      revocability,
      residualBefore?.getTime(),
    ]),
    [['ssh-certificate', 'issued', 'next-login', signed.validBefore.getTime()]],
  )
})

test('a revoked grant puts its certificates on the list that hosts read, and its lease stays open until they have run out', async () => {
  const grant = await here.grant(['ssh.shell'])
  const first = await sign(grant)
  const second = await sign(grant)
  const other = await sign(await here.grant(['ssh.shell']))
  assert.equal(first.leaseId, second.leaseId)
  assert.ok(!(await revoked()).includes(serialBytes(first.serial)))

  await here.bob.ask(finishGrant, { params: { grant } })

  const list = await revoked()
  assert.ok(list.includes(serialBytes(first.serial)) && list.includes(serialBytes(second.serial)))
  assert.ok(!list.includes(serialBytes(other.serial)))
  const { items } = await here.bob.ask(listLeases, { query: { grantId: grant } })
  assert.equal(items[0]?.state, 'ending')
  await assert.rejects(sign(grant), refusedAs('grant-over'))
})

test('attack: a grant for commands gives no shell, and no other account, host or person gets a certificate by it', async () => {
  const grant = await here.grant(['ssh.exec'])
  const shell = await here.grant(['ssh.shell'])

  await assert.rejects(sign(grant), refusedAs('ssh-refused'))
  await assert.rejects(sign(shell, {}, here.ada), refusedAs('not-permitted'))
  await assert.rejects(sign(shell, { command: 'a\nb' }), refusedAs('invalid-input'))
  const signed = await sign(grant, { command: 'uptime', sourceAddresses: ['192.0.2.0/24'] })

  const reader = new WireReader(Buffer.from(signed.certificate.split(' ')[1] ?? '', 'base64'))
  assert.equal(reader.text(), 'ecdsa-sha2-nistp256-cert-v01@openssh.com')
  assert.ok(signed.certificate.length > 0 && signed.command === 'uptime')
})

test('attack: a key that proves another grant proves no second one', async () => {
  const publicKey = opensshPublicKey(await newKeyPair())
  const issue = async (grant: string) => here.bob.ask(issueSshCertificate, { params: { grant }, input: { publicKey } })
  const [one, two] = [await here.grant(['ssh.shell']), await here.grant(['ssh.shell'])]
  await issue(one)

  await assert.rejects(issue(two), refusedAs('key-taken'))
})

test('attack: a grant for one use gives one certificate', async () => {
  const grant = await here.grant(['ssh.shell'], { uses: 1 })
  await sign(grant)

  await assert.rejects(sign(grant), refusedAs('use-refused'))
})

test('an old key is trusted until its certificates have run out, a distrusted one not at all', async () => {
  const ask = async () => (await here.bob.ask(listSshAuthorities, {})).items
  const [first] = await ask()
  const grant = await here.grant(['ssh.shell'])
  await sign(grant)

  const second = await here.ada.ask(rotateSshAuthority, { input: { reason: 'a year has passed' } })

  assert.deepEqual(
    (await ask()).map(({ id, state }) => [id, state]),
    [
      [second.id, 'signing'],
      [first?.id, 'trusted'],
    ],
  )
  await sign(await here.grant(['ssh.shell']))
  const third = await here.ada.ask(rotateSshAuthority, { input: { reason: 'it leaked', distrust: true } })
  assert.deepEqual(
    (await ask()).map(({ id }) => id),
    [third.id, first?.id],
  )
  await assert.rejects(here.bob.ask(rotateSshAuthority, { input: { reason: 'because' } }), refusedAs('not-permitted'))
})

test('who may end a grant ends the certificates of others with it', async () => {
  const grant = await here.grant(['ssh.shell'])
  const { serial } = await sign(grant)

  await here.ada.ask(revokeGrant, { params: { grant }, input: { reason: 'the change is called off' } })

  assert.ok((await revoked()).includes(serialBytes(serial)))
})
