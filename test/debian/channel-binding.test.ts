import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { serverEndPoint } from '../../src/gateways/postgres/wire/channel-binding.ts'

const certificate = (args: string) => {
  const pem = execFileSync('openssl', `req -x509 -nodes -days 1 -subj /CN=x -keyout /dev/null ${args}`.split(' '), {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return new X509Certificate(pem).raw
}

test('the binding is the hash of the certificate by the hash of its signature', () => {
  const ec = '-newkey ec -pkeyopt ec_paramgen_curve:P-256'
  const expected = [
    [`${ec} -sha256`, 'sha256'],
    [`${ec} -sha384`, 'sha384'],
    [`${ec} -sha512`, 'sha512'],
    ['-newkey rsa:2048 -sha256', 'sha256'],
    ['-newkey rsa:2048 -sha512', 'sha512'],
    ['-newkey rsa:2048 -sha384 -sigopt rsa_padding_mode:pss', 'sha384'],
    ['-newkey rsa:2048 -sha1', 'sha256'],
  ] as const

  for (const [args, name] of expected) {
    const raw = certificate(args)
    assert.deepEqual(serverEndPoint(raw), createHash(name).update(raw).digest(), args)
  }
  assert.equal(serverEndPoint(certificate('-newkey ed25519')), undefined)
  for (const broken of ['', '30', '3082', '30840000000130', '3003300130'])
    assert.equal(serverEndPoint(Buffer.from(broken, 'hex')), undefined)
})
