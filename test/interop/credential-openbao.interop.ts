import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listGrants, revokeGrant } from '../../src/access/contract.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { issuedWorld, type IssuedWorld } from '../support/issued-world.ts'
import { asSuperuser, connectAs } from '../support/lease-world.ts'
import { reeve, type Place } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { openbaoProgram } from './peers/openbao.ts'
import { freePort } from '../support/free-port.ts'

// A real OpenBao with its own database secrets engine over a real PostgreSQL: what it gives logs in there, until the grant ends.
const cleaning = cleaningOfFile()
const ROOT = 'root-of-the-test'
let here: IssuedWorld
let cluster: Cluster
let address = ''
let bob: Place

const POLICY = `
path "auth/token/create" { capabilities = ["update"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/leases/revoke" { capabilities = ["update"] }
path "database/creds/reader" { capabilities = ["read"] }`

async function bao(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const answer = await fetch(`${address}/v1/${path}`, {
    method,
    headers: { 'x-vault-token': ROOT, 'x-vault-request': 'true' },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  assert.ok(answer.ok, `${path}: ${answer.status} ${text}`)
  return text === '' ? {} : JSON.parse(text)
}

before(async () => {
  const program = await openbaoProgram()
  cluster = await startCluster()
  cleaning.after(() => cluster[Symbol.asyncDispose]())
  const admin = await asSuperuser(cluster)
  await admin.query(`create role bao superuser login password 'bao-of-the-test'`)
  await admin.query('create database orders')
  await admin.end()
  const port = await freePort()
  address = `http://127.0.0.1:${port}`
  const home = mkdtempSync(join(tmpdir(), 'reeve-bao-'))
  cleaning.after(() => rmSync(home, { recursive: true, force: true }))
  const args = ['server', '-dev', `-dev-root-token-id=${ROOT}`, `-dev-listen-address=127.0.0.1:${port}`]
  const child = spawn(program, args, { stdio: 'ignore', env: { PATH: process.env.PATH, HOME: home } })
  cleaning.after(() => child.kill('SIGKILL'))
  await untilUp()
  await bao('POST', 'sys/mounts/database', { type: 'database' })
  await bao('POST', 'database/config/shop', {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: ['reader'],
    connection_url: `postgresql://{{username}}:{{password}}@${cluster.host}:${cluster.port}/orders?sslmode=disable`,
    username: 'bao',
    password: 'bao-of-the-test',
  })
  await bao('POST', 'database/roles/reader', {
    db_name: 'shop',
    creation_statements: [`create role "{{name}}" login password '{{password}}' valid until '{{expiration}}'`],
    default_ttl: '30m',
    max_ttl: '1h',
  })
  await bao('PUT', 'sys/policies/acl/reeve', { policy: POLICY })
  await bao('PUT', 'sys/policies/acl/reader', {
    policy: 'path "database/creds/reader" { capabilities = ["read"] }',
  })
  const { auth } = (await bao('POST', 'auth/token/create', { policies: ['reeve', 'reader'], period: '1h' })) as {
    auth: { client_token: string }
  }
  here = await issuedWorld(cleaning)
  await here.register({
    name: 'vault-1',
    protocol: 'openbao',
    settings: { server: address, plaintext: true, policies: ['reader'] },
    provisioner: { user: 'reeve', password: auth.client_token },
    accounts: [
      { name: 'database/creds/reader', mode: 'lease' },
      { name: 'sys/raw', mode: 'lease' },
      { name: 'secret/other', mode: 'lease' },
    ],
    actions: ['openbao.read'],
  })
  bob = placeOf(here.folder, 'bob', here.bob)
})
after(() => cleaning.now())

const secret = (path: string) => reeve(bob, ['credential', 'secret', '--on', `vault-1:${path}`, '--for', 'use-vault-1'])

test('a dynamic secret logs in at the database, and no more once its grant is revoked', async () => {
  const { code, stdout, stderr } = await secret('database/creds/reader')
  assert.equal(code, 0, stderr)
  const { username, password } = JSON.parse(stdout)
  const login = () => connectAs(cluster, username, new Secret(password), 'orders')
  await (await login()).end()
  const { items } = await here.bob.ask(listGrants, { query: { view: 'mine', isLive: 'true', target: 'vault-1' } })
  const grant = items[0]?.id ?? ''

  await here.ada.ask(revokeGrant, { params: { grant }, input: { reason: 'it was stolen' } })

  const lease = await here.lease(grant, 'dead')
  assert.deepEqual([Object(lease.evidence).token, Object(lease.evidence).lease], ['revoked', 'unknown'])
  await assert.rejects(login(), { code: '28P01' })
  assert.ok(!stderr.includes(password))
})

test('attack: paths of the system, and those that the policy does not let us read, give nothing', async () => {
  const system = await secret('sys/raw')
  const other = await secret('secret/other')

  assert.deepEqual([system.stdout, other.stdout], ['', ''])
  assert.match(system.stderr, /no path of a dynamic secret/)
  assert.match(other.stderr, /refused it \(reading the path: 403\)|nothing at this path/)
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
