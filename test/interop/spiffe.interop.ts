import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { after, before, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { rotateSpiffe } from '../../src/credentials/contract.ts'
import { suspendIdentity } from '../../src/identities/contract.ts'
import { envoyProgram, startEnvoy, startService } from '../support/envoy.ts'
import { eventually } from '../support/eventually.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { machineWorld, type MachineWorld } from '../support/machine-world.ts'
import { pythonWith } from './peers/python.ts'
import { spiffeHelperProgram } from './peers/spiffe-helper.ts'

// The Workload API as others call it: the reference client of SPIFFE, the one of Python, Envoy, and a database that knows files only.
const run = promisify(execFile)
const POSTGRES = '/usr/lib/postgresql/15/bin'
const POSTGRES_USER = 'postgres'
const cleaning = cleaningOfFile()
let here: MachineWorld
let folder = ''
let goClient = ''

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reeve-spiffe-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  goClient = join(folder, 'client')
  await run('go', ['build', '-o', goClient, '.'], { cwd: join(import.meta.dirname, 'go-spiffe') })
  here = await machineWorld(cleaning)
})
after(() => cleaning.now())

let count = 0
/** An agent, and one workload whose processes run `program`, as whatever user. */
async function placed(link: string, name = `api-${(count += 1)}`) {
  // The kernel tells of files, not of links to them.
  const program = realpathSync(link)
  const machine = `host-of-${name}`
  await here.identity('machine', machine)
  await here.identity('workload', name)
  const sha256 = createHash('sha256').update(readFileSync(program)).digest('hex')
  await here.place(name, machine, [`unix:path:${program}`, `unix:sha256:${sha256}`], 'primary')
  const { socketPath } = await here.agent(machine)
  return { name, socketPath, id: `spiffe://example.org/workload/${name}` }
}

type Said = Readonly<Record<string, unknown>>

/** A run of the Go client, line by line. */
function goRun(t: TestContext, socketPath: string, ...args: string[]) {
  const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${socketPath}` }
  const child = spawn(goClient, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => ended(child))
  const lines = createInterface({ input: child.stdout })
  return { child, next: nextOf(lines) }
}

function nextOf(lines: Interface): () => Promise<Said> {
  const iterator = lines[Symbol.asyncIterator]()
  return async () => {
    const { value, done } = await iterator.next()
    assert.ok(!done, 'it said nothing more')
    return JSON.parse(value)
  }
}

async function ended(child: ChildProcess) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

test('go-spiffe takes its certificate, hears of the next, and is told when it is nobody any more', async (t) => {
  const { socketPath, id, name } = await placed(goClient)
  const { next } = goRun(t, socketPath, 'watch')

  const first = await next()
  assert.deepEqual([first['id'], first['hint'], first['verified']], [id, 'primary', true])
  await here.ada.ask(rotateSpiffe, { input: { reason: 'they leaked', distrust: true } })
  const second = await next()
  assert.equal(second['verified'], true)
  assert.notEqual(second['leaf'], first['leaf'])
  await here.ada.ask(suspendIdentity, { params: { identity: name }, input: { reason: 'it leaked' } })
  assert.match(String((await next())['error']), /PermissionDenied/)
})

test('go-spiffe takes tokens, verifies them by the bundles and by the socket, for their audience alone', async (t) => {
  const { socketPath, id } = await placed(goClient)

  const { other, validated, refused, bundles, ...said } = await goRun(t, socketPath, 'jwt').next()

  assert.equal(said['id'], id)
  assert.deepEqual({ other, validated, refused, bundles }, { other: true, validated: id, refused: true, bundles: 1 })
})

test('two sides of go-spiffe speak mutual TLS, and refuse whom they do not expect', async (t) => {
  const { socketPath } = await placed(goClient)

  const { said, refused } = await goRun(t, socketPath, 'mtls').next()

  assert.deepEqual({ said, refused }, { said: 'hello', refused: true })
})

test('go-spiffe reads the bundle endpoint for federation', async (t) => {
  const ca = join(folder, 'ca.pem')
  writeFileSync(ca, here.server.authority.certificate)
  const url = new URL('/v1/spiffe/bundle', here.server.api.url)

  const { authorities, jwt, hint } = await goRun(t, '/nowhere', 'federation', url.href, ca).next()

  assert.ok(Number(authorities) >= 2 && Number(jwt) >= 2)
  assert.equal(hint, 300)
})

test('py-spiffe takes certificate, token and bundles, and hears of the next certificate', async (t) => {
  const python = await pythonWith('spiffe-0.3.2', ['spiffe==0.3.2'])
  const { socketPath, id } = await placed(python)
  const child = spawn(python, [join(import.meta.dirname, 'py-spiffe', 'client.py'), socketPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => ended(child))
  const next = nextOf(createInterface({ input: child.stdout }))

  assert.deepEqual(await next(), { ready: true })
  await here.ada.ask(rotateSpiffe, { input: { reason: 'they leaked', distrust: true } })
  const { other, ...said } = await next()

  assert.deepEqual(said, { id, jwt: id, valid: id, bundles: 1, turned: true })
  assert.notEqual(other, 'taken')
})

test('Envoy takes its certificate and what verifies clients from the socket, and the next ones as they come', async (t) => {
  const service = await startService('orders')
  t.after(() => service[Symbol.asyncDispose]())
  const { socketPath, id } = await placed(await envoyProgram())
  const envoy = await startEnvoy({ folder, services: { 'orders.example': service.port }, secretsAt: socketPath })
  t.after(() => envoy[Symbol.asyncDispose]())
  const client = await placed(goClient)
  const files = mkdtempSync(join(folder, 'envoy-'))
  const { next } = goRun(t, client.socketPath, 'files', files)
  assert.equal((await next())['what'], 'written')

  const first = await eventually(() => askedBy(envoy.port, files).catch(() => undefined))
  assert.deepEqual([first.status, first.uri], [200, `URI:${id}`])
  await assert.rejects(askedBy(envoy.port), 'whoever shows no certificate is not let in')

  await here.ada.ask(rotateSpiffe, { input: { reason: 'they leaked', distrust: true } })
  assert.equal((await next())['what'], 'written')
  const second = await eventually(async () => {
    const now = await askedBy(envoy.port, files).catch(() => undefined)
    return now && now.serial !== first.serial ? now : undefined
  })
  assert.equal(second.uri, `URI:${id}`)
})

/** Asks through Envoy with the files of a client, and gives what it proved to be. */
function askedBy(port: number, files?: string): Promise<{ status: number; uri: string; serial: string }> {
  const own =
    files === undefined
      ? {}
      : { cert: readFileSync(join(files, 'svid.pem')), key: readFileSync(join(files, 'svid.key')) }
  const ca = files === undefined ? {} : { ca: readFileSync(join(files, 'bundle.pem')) }
  return new Promise((resolve, reject) => {
    let seen = { uri: '', serial: '' }
    const checkServerIdentity = (
      _host: string,
      { subjectaltname, serialNumber }: { subjectaltname?: string; serialNumber: string },
    ) => {
      seen = { uri: subjectaltname ?? '', serial: serialNumber }
      return undefined
    }
    const tls = { ...own, ...ca, rejectUnauthorized: files !== undefined, checkServerIdentity, agent: false }
    const sent = request({ host: '127.0.0.1', port, headers: { host: 'orders.example' }, ...tls }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, ...seen }))
    })
    sent.setTimeout(5000, () => sent.destroy(new Error('late')))
    sent.on('error', reject)
    sent.end()
  })
}

test('files that go-spiffe keeps fresh log into PostgreSQL as the workload, and not as another', async (t) => {
  const { socketPath, name } = await placed(goClient, 'orders')
  const files = mkdtempSync(join(folder, 'files-'))
  const { next } = goRun(t, socketPath, 'files', files)
  const written = async () => assert.equal((await next())['what'], 'written')

  await logsIn(t, { files, name, written })
})

test('files that spiffe-helper keeps fresh log into PostgreSQL as the workload, and not as another', async (t) => {
  const program = await spiffeHelperProgram()
  const { socketPath, name } = await placed(program, 'invoices')
  const files = mkdtempSync(join(folder, 'helper-'))
  const config = join(folder, 'helper.conf')
  const names = { svid_file_name: 'svid.pem', svid_key_file_name: 'svid.key', svid_bundle_file_name: 'bundle.pem' }
  const said = { agent_address: socketPath, cert_dir: files, ...names }
  const lines = Object.entries(said).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
  writeFileSync(config, `${lines.join('\n')}\ndaemon_mode = true\n`)
  const child = spawn(program, ['-config', config], { stdio: 'ignore' })
  t.after(() => ended(child))
  let seen = ''
  const written = async () => {
    seen = await eventually(() => pairIn(files).then((leaf) => (leaf === seen ? undefined : leaf)))
  }

  await logsIn(t, { files, name, written })
})

/** The certificate in a folder once its key fits: files are written one after the other. */
async function pairIn(files: string): Promise<string | undefined> {
  try {
    const [leaf = '', key = ''] = ['svid.pem', 'svid.key'].map((file) => readFileSync(join(files, file), 'utf8'))
    return new X509Certificate(leaf).checkPrivateKey(createPrivateKey(key)) ? leaf : undefined
  } catch {
    return undefined
  }
}

type Kept = { readonly files: string; readonly name: string; readonly written: () => Promise<void> }

/** By files that somebody keeps, before and after the keys of the trust domain turn. */
async function logsIn(t: TestContext, { files, name, written }: Kept): Promise<void> {
  const strict = ['verify', '-x509_strict', '-CAfile', join(files, 'bundle.pem'), join(files, 'svid.pem')]
  const verified = () => run('openssl', strict).catch(() => undefined)
  await written()
  await eventually(verified)
  const server = await postgresWith(t, files, [name, 'billing'])
  const login = (user: string) =>
    run('psql', ['-X', '-At', '-c', 'select current_user', server.url(user)], { timeout: 20_000 })

  assert.equal((await login(name)).stdout.trim(), name)
  await assert.rejects(login('billing'), /certificate authentication failed/)

  await here.ada.ask(rotateSpiffe, { input: { reason: 'they leaked', distrust: true } })
  await written()
  await eventually(verified)
  server.reload()
  assert.equal((await eventually(() => login(name).catch(() => undefined))).stdout.trim(), name)
}

/** Debian's PostgreSQL with the same files on its side of TLS; clients log in by their certificate alone. */
async function postgresWith(t: TestContext, files: string, roles: readonly string[]) {
  assert.ok(existsSync(join(POSTGRES, 'initdb')), 'Debian’s postgresql-15 is needed')
  const home = mkdtempSync(join(tmpdir(), 'reeve-pg-'))
  const data = join(home, 'data')
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, POSTGRES_USER], { encoding: 'utf8' })))
  const id = { uid: uid ?? 0, gid: gid ?? 0 }
  mkdirSync(data)
  for (const path of [home, data]) chownSync(path, id.uid, id.gid)
  const take = () => {
    for (const file of ['svid.pem', 'svid.key', 'bundle.pem']) {
      writeFileSync(join(home, file), readFileSync(join(files, file)), { mode: 0o600 })
      chownSync(join(home, file), id.uid, id.gid)
    }
  }
  take()
  await run(join(POSTGRES, 'initdb'), ['-D', data, '-A', 'trust', '-U', 'root'], { ...id, cwd: home })
  writeFileSync(join(data, 'pg_hba.conf'), 'local all root trust\nhostssl all all 127.0.0.1/32 cert\n')
  const port = 20_000 + (process.pid % 20_000)
  const ssl = {
    ssl: 'on',
    ssl_cert_file: `${home}/svid.pem`,
    ssl_key_file: `${home}/svid.key`,
    ssl_ca_file: `${home}/bundle.pem`,
  }
  const settings = { ...ssl, port, listen_addresses: '127.0.0.1', unix_socket_directories: home, fsync: 'off' }
  const args = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])
  const child = spawn(join(POSTGRES, 'postgres'), ['-D', data, ...args], {
    ...id,
    cwd: home,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.after(async () => {
    await ended(child)
    rmSync(home, { recursive: true, force: true })
  })
  void text(child.stderr)
  const admin = `postgresql://root@/postgres?host=${home}&port=${port}`
  await eventually(() => run('psql', ['-X', '-c', 'select 1', admin]).catch(() => undefined))
  for (const role of roles) await run('psql', ['-X', '-c', `create role ${role} login`, admin])
  const tls = `sslmode=verify-ca&sslrootcert=${files}/bundle.pem&sslcert=${files}/svid.pem&sslkey=${files}/svid.key`
  return {
    url: (user: string) => `postgresql://${user}@127.0.0.1:${port}/postgres?${tls}`,
    reload() {
      take()
      child.kill('SIGHUP')
    },
  }
}
