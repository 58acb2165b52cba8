import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { eventually } from '../../test/support/eventually.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import { machineWorld, type MachineWorld } from '../../test/support/machine-world.ts'
import {
  callWorkload,
  connectTo,
  fieldsOf,
  jwtRequest,
  readX509,
  validateRequest,
} from '../../test/support/workload-client.ts'
import { endPlacement, evictMachine, rotateSpiffe } from '../credentials/contract.ts'
import { resumeIdentity, suspendIdentity } from '../identities/contract.ts'
import { GRPC } from '../kernel/grpc/call.ts'
import { field } from '../kernel/grpc/protobuf.ts'
import { pemOf } from '../kernel/x509.ts'
import { systemProcesses } from './process.ts'

let here: MachineWorld
const cleaning = cleaningOfFile()
const MINE = `unix:uid:${process.getuid?.()}`

before(async () => {
  here = await machineWorld(cleaning)
})
after(() => cleaning.now())

let count = 0
/** A machine with an agent, and one workload that is this very process. */
async function served(t: TestContext, selectors: readonly string[] = [MINE], more: object = {}) {
  const [machine, workload] = [`host-${(count += 1)}`, `api-${count}`]
  await here.identity('machine', machine)
  await here.identity('workload', workload)
  const placement = await here.place(workload, machine, selectors)
  const agent = await here.agent(machine, more)
  const session = connectTo(agent.socketPath)
  t.after(() => session.destroy())
  return { machine, workload, placement, agent, session, id: `spiffe://example.org/workload/${workload}` }
}

const firstOf = async (call: ReturnType<typeof callWorkload>) => readX509(await call.next())

test('a process gets the documents of its placement, whose key is new, and openssl verifies them strictly', async (t) => {
  const { session, id } = await served(t, [MINE, `unix:path:${process.execPath}`])

  const call = callWorkload(session, 'FetchX509SVID')
  const [svid] = await firstOf(call)

  assert.ok(svid)
  assert.equal(svid.id, id)
  const leaf = new X509Certificate(svid.certificate)
  assert.equal(leaf.subjectAltName, `URI:${id}`)
  assert.ok(leaf.checkPrivateKey(createPrivateKey({ key: svid.key, format: 'der', type: 'pkcs8' })))
  const folder = mkdtempSync(join(tmpdir(), 'reeve-svid-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [cert, ca] = [join(folder, 'cert.pem'), join(folder, 'ca.pem')]
  writeFileSync(cert, pemOf(svid.certificate))
  writeFileSync(ca, pemOf(svid.bundle.subarray(0, svid.bundle.readUInt16BE(2) + 4)))
  assert.match(execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', ca, cert], { encoding: 'utf8' }), /OK/)
  call.cancel()
})

test('tokens are for one audience and verify by the same socket; for another audience, or changed, they do not', async (t) => {
  const { session, id } = await served(t)

  const answer = await callWorkload(session, 'FetchJWTSVID', jwtRequest(['db'])).next()
  const [svid = Buffer.alloc(0)] = fieldsOf(answer ?? Buffer.alloc(0)).get(1) ?? []
  const token = fieldsOf(svid).get(2)?.[0]?.toString() ?? ''

  const valid = await callWorkload(session, 'ValidateJWTSVID', validateRequest('db', token)).next()
  assert.equal(
    fieldsOf(valid ?? Buffer.alloc(0))
      .get(1)?.[0]
      ?.toString(),
    id,
  )
  const refused = async (audience: string, text: string) =>
    (await callWorkload(session, 'ValidateJWTSVID', validateRequest(audience, text)).status).code
  assert.equal(await refused('other', token), GRPC.invalidArgument)
  assert.equal(await refused('db', `${token.slice(0, -3)}AAA`), GRPC.invalidArgument)
  const [, body = '', signature = ''] = token.split('.')
  const none = Buffer.from(JSON.stringify({ alg: 'none', kid: 'x', typ: 'JWT' })).toString('base64url')
  assert.equal(await refused('db', `${none}.${body}.${signature}`), GRPC.invalidArgument)
})

test('attack: a call without the header, by whichever method, is refused', async (t) => {
  const { session } = await served(t)

  for (const method of ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTSVID', 'FetchJWTBundles', 'ValidateJWTSVID']) {
    for (const value of ['', 'false', 'TRUE']) {
      const { code } = await callWorkload(session, method, undefined, { 'workload.spiffe.io': value }).status
      assert.equal(code, GRPC.invalidArgument, `${method} ${value}`)
    }
  }
})

test('a process that no placement fits gets nothing, by no method, and no identity by default', async (t) => {
  const { session } = await served(t, [MINE, 'unix:path:/usr/bin/something-else'])

  for (const [method, message] of [
    ['FetchX509SVID', undefined],
    ['FetchX509Bundles', undefined],
    ['FetchJWTBundles', undefined],
    ['FetchJWTSVID', jwtRequest(['db'])],
    ['ValidateJWTSVID', validateRequest('db', 'a.b.c')],
  ] as const) {
    assert.equal((await callWorkload(session, method, message).status).code, GRPC.permissionDenied, method)
  }
})

test('attack: a token of an identity that the process is not is refused', async (t) => {
  const { session } = await served(t)

  const call = callWorkload(session, 'FetchJWTSVID', jwtRequest(['db'], 'spiffe://example.org/workload/somebody'))

  assert.equal((await call.status).code, GRPC.permissionDenied)
})

test('streams push when keys turn, end when the identity is suspended, and serve again when it is back', async (t) => {
  const { session, workload } = await served(t)
  const call = callWorkload(session, 'FetchX509SVID')
  const [first] = await firstOf(call)

  await here.ada.ask(rotateSpiffe, { input: { reason: 'they leaked', distrust: true } })
  const [second] = await firstOf(call)
  assert.ok(first && second && !first.certificate.equals(second.certificate))

  await here.ada.ask(suspendIdentity, { params: { identity: workload }, input: { reason: 'it leaked' } })
  assert.equal((await call.status).code, GRPC.permissionDenied)
  assert.equal((await callWorkload(session, 'FetchX509SVID').status).code, GRPC.permissionDenied)

  await here.ada.ask(resumeIdentity, { params: { identity: workload } })
  await eventually(async () => {
    const again = callWorkload(session, 'FetchX509SVID')
    const [svid] = await firstOf(again)
    again.cancel()
    return svid
  })
})

test('a placement that ends takes its documents along', async (t) => {
  const { session, placement } = await served(t)
  const call = callWorkload(session, 'FetchX509SVID')
  await firstOf(call)

  await here.ada.ask(endPlacement, { params: { placement }, input: { reason: 'moved' } })

  assert.equal((await call.status).code, GRPC.permissionDenied)
})

test('attack: an evicted machine ends at once: its streams, its agent, and whoever stole what it was admitted with', async (t) => {
  const proofs: unknown[] = []
  const connect: MachineWorld['connect'] = (proof) => {
    if (proof) proofs.push(proof)
    return here.connect(proof)
  }
  const { session, machine, agent } = await served(t, [MINE], { connect })
  const call = callWorkload(session, 'FetchX509SVID')
  await firstOf(call)

  await here.ada.ask(evictMachine, { params: { identity: machine }, input: { reason: 'stolen' } })

  assert.equal((await call.status).code, GRPC.permissionDenied)
  assert.match(await agent.over, /not admitted/)
  assert.equal((await callWorkload(session, 'FetchX509SVID').status).code, GRPC.permissionDenied)
  assert.equal(proofs.length, 1)
})

test('a server that is away leaves what is held; what is not held is refused and says so', async (t) => {
  let isAway = false
  const connect: MachineWorld['connect'] = (proof) => {
    const server = here.connect(proof)
    return {
      ask: (operation, given, signal) =>
        isAway ? Promise.reject(new Error('connection refused')) : server.ask(operation, given, signal),
      [Symbol.dispose]: () => server[Symbol.dispose](),
    }
  }
  const { session, id } = await served(t, [MINE], { connect })
  await callWorkload(session, 'FetchJWTSVID', jwtRequest(['held'])).next()
  const [svid] = await firstOf(callWorkload(session, 'FetchX509SVID'))

  isAway = true

  const [same] = await firstOf(callWorkload(session, 'FetchX509SVID'))
  assert.equal(same?.id, id)
  assert.deepEqual(same?.certificate, svid?.certificate)
  assert.ok(await callWorkload(session, 'FetchJWTSVID', jwtRequest(['held'])).next())
  const other = await callWorkload(session, 'FetchJWTSVID', jwtRequest(['other'])).status
  assert.equal(other.code, GRPC.unavailable)
  assert.match(other.message, /server cannot be reached/)
})

test('attack: a process id that was used again is not the process that connected', async (t) => {
  let start = '100'
  const processes = { ...systemProcesses, startOf: () => start }
  const { session } = await served(t, [MINE], { processes })
  const call = callWorkload(session, 'FetchX509SVID')
  await firstOf(call)

  start = '200'

  assert.equal((await callWorkload(session, 'FetchX509SVID').status).code, GRPC.permissionDenied)
})

test('attack: a process that ends while it is looked at is nobody, although its id is somebody again', async (t) => {
  let looks = 0
  const processes = {
    ...systemProcesses,
    startOf: () => (looks > 0 ? '200' : '100'),
    selectorsOf: async () => {
      looks += 1
      return ['unix:path:/usr/sbin/trusted']
    },
  }
  const { session } = await served(t, [MINE, 'unix:path:/usr/sbin/trusted'], { processes })

  assert.equal((await callWorkload(session, 'FetchX509SVID').status).code, GRPC.permissionDenied)
})

test('attack: who has left is not believed by its id, whether the kernel holds the process for us or not', async (t) => {
  const peer = (state: 'gone' | 'unknown', uid: number) => () => ({
    pid: process.pid,
    uid,
    gid: 0,
    state: () => state,
    [Symbol.dispose]() {},
  })
  const gone = await served(t, [MINE], { peers: peer('gone', process.getuid?.() ?? 0) })
  const forged = await served(t, ['unix:uid:4242'], { peers: peer('unknown', 4242) })

  assert.notEqual((await callWorkload(gone.session, 'FetchX509SVID').status).code, GRPC.ok)
  assert.equal((await callWorkload(forged.session, 'FetchX509SVID').status).code, GRPC.permissionDenied)
})

test('attack: a process that becomes another program loses what the first one was given', async (t) => {
  let path = '/usr/bin/good'
  const processes = { ...systemProcesses, selectorsOf: async () => [`unix:path:${path}`] }
  const { session, workload } = await served(t, ['unix:path:/usr/bin/good'], { processes })
  const call = callWorkload(session, 'FetchX509SVID')
  await firstOf(call)

  path = '/usr/bin/evil'
  // Whatever moves anything has the stream look again.
  await here.place(workload, `host-${count}`, ['unix:path:/usr/bin/other'])

  assert.equal((await call.status).code, GRPC.permissionDenied)
})

test('attack: messages that are too long, and streams without end, are refused and others are served on', async (t) => {
  const { session, agent } = await served(t)
  const other = connectTo(agent.socketPath)
  t.after(() => other.destroy())

  const long = await callWorkload(session, 'FetchJWTSVID', field(1, 'x'.repeat(100_000))).status
  const calls = Array.from({ length: 90 }, () => callWorkload(session, 'FetchX509SVID'))
  const more = Array.from({ length: 90 }, () => callWorkload(other, 'FetchX509SVID'))
  const all = [...calls, ...more]
  let refused = 0
  for (const call of all) void call.status.then(({ code }) => (refused += code === GRPC.resourceExhausted ? 1 : 0))

  assert.equal(long.code, GRPC.resourceExhausted)
  await eventually(async () => (refused === 180 - 64 ? true : undefined))
  for (const call of all) call.cancel()
  await eventually(async () => (await callWorkload(session, 'FetchX509SVID').next()) ?? undefined)
})
