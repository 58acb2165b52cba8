import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openAuthority } from '../../src/kernel/ca.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/random.ts'

test('every kind of certificate passes the strict checks of openssl, for its own purpose only', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-openssl-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const authority = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })
  const server = join(folder, 'server.pem')
  const client = join(folder, 'client.pem')
  writeFileSync(server, (await authority.issueServer(['reeve.example', '127.0.0.1', '2001:db8::1'])).cert)
  writeFileSync(client, (await authority.issueClient({ spki, commonName: 'grant', ttlSeconds: 60 })).cert)
  const ca = authority.certificateFile
  const verify = (purpose: string, ...rest: string[]) =>
    execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', ca, '-purpose', purpose, ...rest], {
      stdio: 'pipe',
    }).toString()

  assert.match(verify('any', ca), /ca\.pem: OK/)
  assert.match(verify('sslserver', '-verify_hostname', 'reeve.example', server), /server\.pem: OK/)
  assert.match(verify('sslserver', '-verify_ip', '2001:db8::1', server), /server\.pem: OK/)
  assert.match(verify('sslclient', client), /client\.pem: OK/)
  assert.throws(() => verify('sslclient', server))
  assert.throws(() => verify('sslserver', client))
  assert.throws(() => verify('sslserver', '-verify_hostname', 'other.example', server))
})
