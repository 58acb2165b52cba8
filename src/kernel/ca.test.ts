import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openAuthority } from './ca.ts'
import { secondsAfter, systemClock } from './clock.ts'
import { systemRandom } from './random.ts'

const needs = { clock: systemClock, random: systemRandom }

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'reeve-ca-'))
  t.after(() => rmSync(made, { recursive: true }))
  return join(made, 'ca')
}

const p256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })

test('a server certificate chains to the authority and holds its names and addresses', async (t) => {
  const authority = await openAuthority(folder(t), needs)
  const ca = new X509Certificate(authority.certificate)

  const leaf = new X509Certificate(
    (await authority.issueServer(['reeve.example', '127.0.0.1', '::1', 'fd00::12:1'])).cert,
  )

  assert.ok(ca.ca && ca.checkIssued(ca) && ca.verify(ca.publicKey))
  assert.ok(!leaf.ca && leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
  assert.equal(leaf.checkHost('reeve.example'), 'reeve.example')
  assert.equal(leaf.checkHost('other.example'), undefined)
  assert.deepEqual(
    ['127.0.0.1', '::1', 'fd00::12:1'].map((ip) => leaf.checkIP(ip) !== undefined),
    [true, true, true],
  )
  assert.equal(leaf.checkIP('127.0.0.2'), undefined)
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1'])
})

test('a client certificate is for the key that was given, short-lived and no server', async (t) => {
  const authority = await openAuthority(folder(t), needs)
  const spki = p256()

  const { cert, expiresAt } = await authority.issueClient({ spki, commonName: 'grant-1', ttlSeconds: 600 })

  const leaf = new X509Certificate(cert)
  assert.equal(leaf.subject, 'CN=grant-1')
  assert.deepEqual(leaf.publicKey.export({ format: 'der', type: 'spki' }), spki)
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  assert.ok(expiresAt < secondsAfter(new Date(), 700))
  assert.equal(leaf.validToDate.getTime(), Math.floor(expiresAt.getTime() / 1000) * 1000)
})

test('a key of another kind gets no certificate', async (t) => {
  const authority = await openAuthority(folder(t), needs)
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'der', type: 'spki' })

  await assert.rejects(authority.issueClient({ spki: rsa, commonName: 'x', ttlSeconds: 60 }), /not a P-256 key/)
  await assert.rejects(authority.issueClient({ spki: Buffer.from('junk'), commonName: 'x', ttlSeconds: 60 }))
  await assert.rejects(authority.issueServer(['a name, with stray characters']), /not a name/)
})

test('opening again, or twice at once, gives the same authority, its key readable by its owner alone', async (t) => {
  const place = folder(t)

  const [first, second] = await Promise.all([openAuthority(place, needs), openAuthority(place, needs)])
  const third = await openAuthority(place, needs)

  assert.equal(first.certificate, second.certificate)
  assert.equal(first.certificate, third.certificate)
  assert.equal(statSync(join(place, 'ca.key')).mode & 0o777, 0o600)
  chmodSync(join(place, 'ca.key'), 0o644)
  await assert.rejects(openAuthority(place, needs), /others may read/)
})

test('nothing is issued beyond the life of the authority, and an expired one does not open', async (t) => {
  const place = folder(t)
  const at = (days: number) => ({
    ...needs,
    clock: { ...systemClock, now: () => secondsAfter(new Date(), days * 86_400) },
  })
  const authority = await openAuthority(place, needs)

  const late = await openAuthority(place, at(3640))

  assert.deepEqual((await late.issueServer(['x'])).expiresAt, new X509Certificate(authority.certificate).validToDate)
  await assert.rejects(openAuthority(place, at(3651)), /has expired/)
})
