import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { evictMachine } from '../../src/credentials/contract.ts'
import { GRPC } from '../../src/kernel/grpc/call.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { machineWorld, type MachineWorld } from '../support/machine-world.ts'
import { startReeve } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'
import { callWorkload, connectTo, readX509 } from '../support/workload-client.ts'

// The agent as it is installed: a process of its own, for which this test is a process like any other on the machine.
const cleaning = cleaningOfFile()
let here: MachineWorld

before(async () => {
  here = await machineWorld(cleaning)
  await here.identity('workload', 'orders-api')
})
after(() => cleaning.now())

/** Where an agent of a machine runs, with nothing of anybody's proofs in its environment. */
async function machineOf(t: TestContext, name: string) {
  await here.identity('machine', name)
  const folder = mkdtempSync(join(tmpdir(), 'reeve-agent-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const { env } = placeOf(folder, 'ada', here.ada)
  const { REEVE_TOKEN_FILE: _token, REEVE_CLIENT_CERT: _cert, REEVE_CLIENT_KEY: _key, ...bare } = env
  const socket = join(folder, 'agent.sock')
  const state = ['--socket', socket, '--state', join(folder, 'state')]
  return { folder, place: { folder, env: bare }, socket, args: ['agent', '--machine', name, ...state] }
}

async function fetchOne(t: TestContext, socket: string) {
  const session = connectTo(socket)
  t.after(() => session.destroy())
  await using call = callWorkload(session, 'FetchX509SVID')
  const [svid] = readX509(await call.next())
  return svid ?? assert.fail(JSON.stringify(await call.status))
}

test('reeve agent joins by a token, serves a document, goes on after a restart, and ends when it is evicted', async (t) => {
  const { folder, place, socket, args } = await machineOf(t, 'host-1')
  await here.place('orders-api', 'host-1', [`unix:uid:${process.getuid?.()}`, `unix:path:${process.execPath}`])
  const tokenFile = join(folder, 'join')
  writeFileSync(tokenFile, await here.invite('host-1'), { mode: 0o600 })

  const first = startReeve(t, place, [...args, '--join-token-file', tokenFile])
  await first.said(/host-1 serves spiffe:\/\/example\.org at unix:/)
  const svid = await fetchOne(t, socket)
  assert.equal(svid.id, 'spiffe://example.org/workload/orders-api')
  assert.equal(new X509Certificate(svid.certificate).subjectAltName, `URI:${svid.id}`)
  assert.equal(statSync(join(folder, 'state')).mode & 0o077, 0)
  first.kill('SIGTERM')
  assert.equal(await first.exit, 0, first.stderr())
  assert.equal(existsSync(socket), false)

  // The token is spent; what it was admitted with is not.
  const second = startReeve(t, place, args)
  await second.said(/host-1 serves/)
  assert.notDeepEqual((await fetchOne(t, socket)).key, svid.key)
  await here.ada.ask(evictMachine, { params: { identity: 'host-1' }, input: { reason: 'it was stolen' } })
  assert.notEqual(await second.exit, 0)
  assert.match(second.stderr(), /The agent ends/)
})

test('attack: a join token that was used already, or that was made up, starts no agent', async (t) => {
  const { folder, place, socket, args } = await machineOf(t, 'host-2')
  const tokenFile = join(folder, 'join')
  writeFileSync(tokenFile, await here.invite('host-2'), { mode: 0o600 })
  const first = startReeve(t, place, [...args, '--join-token-file', tokenFile])
  await first.said(/host-2 serves/)
  first.kill('SIGTERM')
  await first.exit
  rmSync(join(folder, 'state'), { recursive: true })
  const madeUp = join(folder, 'made-up')
  writeFileSync(madeUp, 'reeve_join_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', { mode: 0o600 })

  for (const file of [tokenFile, madeUp]) {
    const again = startReeve(t, place, [...args, '--join-token-file', file])
    assert.notEqual(await again.exit, 0)
    assert.doesNotMatch(again.stderr(), /serves/)
    assert.equal(existsSync(socket), false)
  }
})

test('a process that no placement names gets nothing from the running agent', async (t) => {
  const { folder, place, socket, args } = await machineOf(t, 'host-3')
  await here.identity('workload', 'billing-api')
  await here.place('billing-api', 'host-3', [`unix:uid:${process.getuid?.()}`, 'unix:path:/usr/bin/env'])
  const tokenFile = join(folder, 'join')
  writeFileSync(tokenFile, await here.invite('host-3'), { mode: 0o600 })
  const running = startReeve(t, place, [...args, '--join-token-file', tokenFile])
  await running.said(/host-3 serves/)
  const session = connectTo(socket)
  t.after(() => session.destroy())

  const call = callWorkload(session, 'FetchX509SVID')

  assert.equal(await call.next(), undefined)
  assert.equal((await call.status).code, GRPC.permissionDenied)
})
