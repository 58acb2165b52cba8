import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { finishGrant } from '../../src/access/contract.ts'
import { issueSshCertificate, listSshAuthorities, readSshRevocations } from '../../src/credentials/contract.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { sshWorld, type SshWorld } from '../support/ssh-world.ts'
import { freePort } from '../support/free-port.ts'

// OpenSSH of Debian: its server trusts our authority and reads our list of revoked certificates.

const execute = promisify(execFile)
const account = userInfo().username
/** Who runs this as root logs in as root, which takes a right of its own. */
const ROOT = account === 'root' ? ['ssh.root'] : []
const cleaning = cleaningOfFile()
let folder: string
let here: SshWorld
let host: { readonly port: number; log(): string }

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'reeve-sshd-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  await execute('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'host')])
  const port = await freePort()
  const hostKey = readFileSync(join(folder, 'host.pub'), 'utf8').trim()
  here = await sshWorld(cleaning, { account, port, hostKey })
  host = await startHost(port)
})

after(() => cleaning.now())

async function startHost(port: number) {
  mkdirSync('/run/sshd', { recursive: true })
  const { items } = await here.bob.ask(listSshAuthorities, {})
  writeFileSync(join(folder, 'authorities'), items.map(({ line }) => `${line}\n`).join(''))
  mkdirSync(join(folder, 'principals'))
  writeFileSync(join(folder, 'principals', account), `${account}@build-1\n`)
  await fetchRevoked()
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host')}`,
    `PidFile none`,
    `TrustedUserCAKeys ${join(folder, 'authorities')}`,
    `AuthorizedPrincipalsFile ${join(folder, 'principals')}/%u`,
    `RevokedKeys ${join(folder, 'revoked')}`,
    'AuthorizedKeysFile none',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'UsePAM no',
    // The folder of the test is under a folder that everybody may write to.
    'StrictModes no',
    'LogLevel VERBOSE',
  ]
  writeFileSync(join(folder, 'sshd_config'), `${config.join('\n')}\n`)
  const daemon: ChildProcess = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  const listening = new Promise<void>((resolve, reject) => {
    daemon.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8')
      if (said.includes('Server listening')) resolve()
    })
    daemon.on('exit', () => reject(new Error(`sshd ended: ${said}`)))
  })
  cleaning.after(async () => {
    if (daemon.exitCode === null) {
      daemon.kill()
      await once(daemon, 'exit')
    }
  })
  await listening
  return { port, log: () => said }
}

async function fetchRevoked(): Promise<void> {
  writeFileSync(join(folder, 'revoked'), await here.nobody.bytes(readSshRevocations))
}

type Login = { readonly key: string; readonly leaseId: string; readonly grantId: string; readonly options: string[] }

let logins = 0

/** A key of ssh-keygen's own, certified. */
async function certified(
  actions: readonly string[],
  type = 'ed25519',
  more: Record<string, unknown> = {},
): Promise<Login> {
  const key = join(folder, `key-${(logins += 1)}`)
  await execute('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', key])
  const grant = await here.grant([...actions, ...ROOT], { reason: 'the test says so' })
  const publicKey = readFileSync(`${key}.pub`, 'utf8').trim()
  const issued = await here.bob.ask(issueSshCertificate, { params: { grant }, input: { publicKey, ...more } })
  writeFileSync(`${key}-cert.pub`, `${issued.certificate}\n`)
  writeFileSync(join(folder, 'known_hosts'), issued.knownHosts.join('\n'))
  const options = ['-F', 'none', '-i', key, '-p', String(issued.port), '-l', issued.login]
  options.push('-o', `UserKnownHostsFile=${join(folder, 'known_hosts')}`, '-o', 'HostKeyAlias=build-1')
  options.push('-o', 'StrictHostKeyChecking=yes', '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes')
  return { key, leaseId: issued.leaseId, grantId: grant, options }
}

async function ssh({ options }: Login, ...command: string[]): Promise<string> {
  const { stdout } = await execute('ssh', [...options, '127.0.0.1', ...command])
  return stdout.trim()
}

for (const type of ['ed25519', 'ecdsa', 'rsa']) {
  test(`a certificate for a key of type ${type} lets in, and the log of the host names grant, lease and person`, async () => {
    const login = await certified(['ssh.shell'], type)

    assert.equal(await ssh(login, 'echo in'), 'in')

    assert.match(host.log(), new RegExp(`ID ${login.grantId}/${login.leaseId}/bob \\(serial \\d+\\)`))
  })
}

test('ssh-keygen reads in a certificate what was granted', async () => {
  const { key } = await certified(['ssh.exec'], 'ed25519', { command: 'echo fixed' })

  const { stdout } = await execute('ssh-keygen', ['-L', '-f', `${key}-cert.pub`])

  assert.match(stdout, /user certificate/)
  assert.match(stdout, new RegExp(`Principals:\\s+${account}@build-1\\n`))
  assert.match(stdout, /force-command echo fixed\n\s+source-address 127\.0\.0\.1\n/)
  assert.match(stdout, /Extensions: \(none\)/)
})

test('a certificate for one command runs that, whatever is asked for', async () => {
  const login = await certified(['ssh.exec'], 'ed25519', { command: 'echo fixed' })

  assert.equal(await ssh(login, 'echo other'), 'fixed')
})

test('attack: from another address, at another host, or without its key a certificate lets nobody in', async () => {
  const elsewhere = await certified(['ssh.shell'], 'ed25519', { sourceAddresses: ['192.0.2.1'] })
  const login = await certified(['ssh.shell'])
  const { key: otherKey } = await certified(['ssh.shell'])

  await assert.rejects(ssh(elsewhere, 'true'), /Permission denied/)
  const stolen = { ...login, options: [...login.options, '-o', `CertificateFile=${login.key}-cert.pub`] }
  stolen.options[stolen.options.indexOf(login.key)] = otherKey
  rmSync(`${otherKey}-cert.pub`)
  await assert.rejects(ssh(stolen, 'true'), /Permission denied/)
  writeFileSync(join(folder, 'principals', account), `${account}@build-2\n`)
  await assert.rejects(ssh(login, 'true'), /Permission denied/)
  writeFileSync(join(folder, 'principals', account), `${account}@build-1\n`)
  assert.equal(await ssh(login, 'echo in'), 'in')
})

test('attack: a revoked grant lets nobody in any more once the host has read the list', async () => {
  const login = await certified(['ssh.shell'])
  const other = await certified(['ssh.shell'])
  assert.equal(await ssh(login, 'echo in'), 'in')

  await here.bob.ask(finishGrant, { params: { grant: login.grantId } })
  await fetchRevoked()

  await assert.rejects(ssh(login, 'true'), /Permission denied/)
  assert.equal(await ssh(other, 'echo in'), 'in')
  const query = await execute('ssh-keygen', ['-Q', '-l', '-f', join(folder, 'revoked')])
  assert.match(query.stdout, /# KRL version \d+/)
  const isRevoked = (error: unknown) =>
    error instanceof Error && 'stdout' in error && /REVOKED/.test(String(error.stdout))
  await assert.rejects(execute('ssh-keygen', ['-Q', '-f', join(folder, 'revoked'), `${login.key}-cert.pub`]), isRevoked)
  await execute('ssh-keygen', ['-Q', '-f', join(folder, 'revoked'), `${other.key}-cert.pub`])
})

test('reeve ssh logs in, runs one command, and leaves neither key nor grant behind', async () => {
  const runtime = join(folder, 'runtime')
  mkdirSync(runtime, { recursive: true })
  chmodSync(runtime, 0o700)
  const { connection } = here.bob
  const authority = join(folder, 'ca.pem')
  writeFileSync(authority, connection.authority ?? '')
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    XDG_RUNTIME_DIR: runtime,
    REEVE_ADDR: connection.address.href,
    REEVE_CACERT: authority,
    REEVE_TOKEN: connection.token?.reveal() ?? '',
    ...(await clientFiles()),
  }

  const terms = ['ssh', 'build-1', '--for', 'builds', '--account', account, '--reason', 'the test says so']
  const actions = ['ssh.exec', ...ROOT].flatMap((action) => ['--action', action])
  const program = join(import.meta.dirname, '../../bin/reeve.js')

  const { stdout } = await execute(process.execPath, [program, ...terms, ...actions, '--', 'echo', 'by', 'reeve'], {
    env,
  })

  assert.equal(stdout.trim(), 'by reeve')
  assert.deepEqual(readdirSync(runtime), [])
})

/** The key that the token is bound to, as files. */
async function clientFiles(): Promise<Record<string, string>> {
  const { client } = here.bob.connection
  if (!client) return {}
  const [certificate, key] = [join(folder, 'client.pem'), join(folder, 'client.key')]
  writeFileSync(certificate, client.certificate)
  writeFileSync(key, client.key.reveal(), { mode: 0o600 })
  return { REEVE_CLIENT_CERT: certificate, REEVE_CLIENT_KEY: key }
}
