import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listGrants, revokeGrant } from '../../src/access/contract.ts'
import { listLeases, retryLease } from '../../src/credentials/contract.ts'
import { eventually } from '../support/eventually.ts'
import { issuedServer } from '../support/issued.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { issuedWorld, type IssuedWorld } from '../support/issued-world.ts'
import { PROGRAM, type Place, type Ran } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'

// The real git with the hook as its credential helper, against git's own http-backend over TLS with a login in front of it.
const cleaning = cleaningOfFile()
let here: IssuedWorld
let bob: Place
let server = ''
let folder = ''
let password = 'standing-password'

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reeve-git-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: folder, env: { PATH: process.env.PATH, HOME: folder }, stdio: 'ignore' })
  git('init', '--bare', '-b', 'main', 'shop.git')
  git('init', '-b', 'main', 'work')
  writeFileSync(join(folder, 'work', 'price'), '3\n')
  git('-C', 'work', 'add', 'price')
  git('-C', 'work', '-c', 'user.name=t', '-c', 'user.email=t@example.com', 'commit', '-m', 'a price')
  git('-C', 'work', 'push', '../shop.git', 'main')
  const { key, cert, ca } = await issuedServer('localhost')
  writeFileSync(join(folder, 'ca.pem'), ca)
  const https = createServer({ key, cert }, (request, response) => serve(request, response))
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve))
  cleaning.after(() => {
    https.closeAllConnections()
    https.close()
  })
  const at = https.address()
  server = `https://localhost:${typeof at === 'object' && at ? at.port : 0}`
  here = await issuedWorld(cleaning)
  await here.register({
    name: 'git-1',
    protocol: 'https',
    settings: { server, ca, probePath: '/shop.git/info/refs?service=git-upload-pack' },
    accounts: [{ name: 'deploy', mode: 'static', password }],
    actions: ['https.read'],
  })
  bob = placeOf(here.folder, 'bob', here.bob)
})
after(() => cleaning.now())

/** git-http-backend(1), as a web server runs it. */
function serve(request: IncomingMessage, response: ServerResponse): void {
  const right = `Basic ${Buffer.from(`deploy:${password}`).toString('base64')}`
  if (request.headers.authorization !== right) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end()
    return
  }
  const url = new URL(request.url ?? '/', server)
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'],
      REMOTE_USER: 'deploy',
    },
  })
  request.pipe(child.stdin)
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.on('close', () => {
    const whole = Buffer.concat(chunks)
    const end = whole.indexOf('\r\n\r\n')
    for (const line of whole.subarray(0, end).toString('latin1').split('\r\n')) {
      const [name = '', ...value] = line.split(':')
      if (name.toLowerCase() === 'status') response.statusCode = Number(value.join(':').trim().slice(0, 3))
      else response.setHeader(name, value.join(':').trim())
    }
    response.end(whole.subarray(end + 4))
  })
}

const HOOK = () => `!'${process.execPath}' '${PROGRAM}' credential git --on git-1:deploy --for use-git-1`

function git(...args: string[]): Promise<Ran> {
  const env = { ...bob.env, GIT_SSL_CAINFO: join(folder, 'ca.pem'), GIT_TERMINAL_PROMPT: '0', GIT_CONFIG_NOSYSTEM: '1' }
  return new Promise((resolve) => {
    execFile(
      'git',
      ['-c', 'credential.helper=', '-c', `credential.helper=${HOOK()}`, ...args],
      { env, cwd: folder },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
      },
    )
  })
}

function helper(name: 'git' | 'docker', verb: string, stdin: string): Promise<Ran> {
  return new Promise((resolve) => {
    const args = [PROGRAM, 'credential', name, '--on', 'git-1:deploy', '--for', 'use-git-1', verb]
    const child = execFile(process.execPath, args, { env: bob.env, cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
    })
    child.stdin?.end(stdin)
  })
}

test('git clones by the hook, and what it was told is no secret of anybody else’s', async () => {
  const { code, stderr } = await git('clone', `${server}/shop.git`, 'copy')
  const said = await helper('git', 'get', `protocol=https\nhost=${new URL(server).host}\n\n`)

  assert.equal(code, 0, stderr)
  assert.match(said.stdout, /^username=deploy\npassword=standing-password\npassword_expiry_utc=\d+\n$/)
  assert.ok(!said.stderr.includes(password))
})

test('attack: git that asks for another server, port or user gets no login', async () => {
  const { host } = new URL(server)
  for (const asked of [
    'protocol=https\nhost=evil.example\n',
    `protocol=http\nhost=${host}\n`,
    'protocol=https\nhost=localhost\n',
    `protocol=https\nhost=${host}@evil.example\n`,
    `protocol=https\nhost=${host}\nusername=root\n`,
  ]) {
    const { stdout } = await helper('git', 'get', asked)
    assert.equal(stdout, '', asked)
  }
})

test('store and erase change nothing and say nothing', async () => {
  const { host } = new URL(server)
  for (const verb of ['store', 'erase']) {
    const said = await helper('git', verb, `protocol=https\nhost=${host}\nusername=deploy\npassword=x\n`)
    assert.deepEqual([said.code, said.stdout], [0, ''], said.stderr)
  }
})

test('docker is answered by its own protocol, for this server alone', async () => {
  const right = await helper('docker', 'get', server)
  const wrong = await helper('docker', 'get', 'evil.example')
  const list = await helper('docker', 'list', '')

  assert.deepEqual(JSON.parse(right.stdout), { ServerURL: server, Username: 'deploy', Secret: 'standing-password' })
  assert.deepEqual([wrong.code, wrong.stdout], [1, 'credentials not found in native keychain\n'])
  assert.equal(list.stdout, '{}\n')
})

test('a revoked grant leaves its lease open until the server refuses what was lent, and git fails then', async () => {
  const { items } = await here.bob.ask(listGrants, { query: { view: 'mine', isLive: 'true', target: 'git-1' } })
  const grant = items[0]?.id ?? ''

  await here.ada.ask(revokeGrant, { params: { grant }, input: { reason: 'its holder left' } })
  const open = await eventually(async () => {
    const { items: leases } = await here.ada.ask(listLeases, { query: { grantId: grant, open: true } })
    return leases[0]?.lastError ? leases[0] : undefined
  })
  password = 'another-password'
  await here.ada.ask(retryLease, { params: { lease: open.id } })

  await here.lease(grant, 'dead')
  assert.match(open.lastError ?? '', /replace the login/)
  const { code } = await git('clone', `${server}/shop.git`, 'late')
  assert.notEqual(code, 0)
})
