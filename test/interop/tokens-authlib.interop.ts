import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { exportPKCS8 } from 'jose'
import { newTestKey, tokenWorld } from '../support/token-world.ts'

// Authlib is the OAuth library furthest from ours: another language, another author, its own JOSE.
const CLIENT = join(import.meta.dirname, 'tokens-authlib', 'client.py')
const run = promisify(execFile)
let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reeve-authlib-'))
  await run('python3', ['-m', 'venv', join(folder, 'venv')])
  await run(join(folder, 'venv', 'bin', 'pip'), ['install', '--quiet', 'authlib==1.9.9', 'requests==2.32.5'])
})
after(() => rm(folder, { recursive: true, force: true }))

test('Authlib gets a token by private_key_jwt, verifies it, uses it, inspects it and ends it', async (t) => {
  const w = await tokenWorld(t)
  const key = await newTestKey()
  const { x = '', y = '' } = key.jwk
  await w.workload('batch')
  const keys = { keys: [{ kty: 'EC' as const, crv: 'P-256' as const, x, y }] }
  // It knows no DPoP, so its tokens are bearers'.
  await w.rule('batch', { name: 'batch', preset: 'client-key', keys, isBound: false })
  const ca = join(folder, 'ca.pem')
  await writeFile(ca, w.server.authority.certificate)

  const child = spawn(join(folder, 'venv', 'bin', 'python'), [CLIENT], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify({ issuer: w.issuer, client: 'batch', key: await exportPKCS8(key.privateKey), ca }))
  const found: unknown = JSON.parse(await text(child.stdout))

  assert.deepEqual(found, { type: 'Bearer', client: 'batch', whoami: 'batch', before: true, after: false })
})
