/** The system's OpenSSH client, started for one script at a time. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Secret } from '../../kernel/secret.ts'
import { after } from '../../kernel/timer.ts'
import { Unreadable } from '../connector.ts'
import type { SshSourceSettings } from './settings.ts'

const OUTPUT_BYTES = 128 * 1024 * 1024
const RUN_MS = 100_000
const ALIAS = 'reeve-source'

/** Runs a script at the host and gives what it printed. */
export type Link = AsyncDisposable & { run(script: string, signal: AbortSignal): Promise<Buffer> }

// In any login shell. sudo is asked first whether it would: without the right the script runs as who logged in, and says so.
const PLAIN = '/bin/sh -s'
const AS_ROOT = `/bin/sh -c 'if sudo -n -l /bin/sh -s >/dev/null 2>&1; then exec sudo -n /bin/sh -s; else exec /bin/sh -s; fi'`

/** The key lies in a folder of ours, in memory where there is such a place, until the link is closed. */
export async function openLink(settings: SshSourceSettings, privateKey: Secret): Promise<Link> {
  const folder = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'reeve-ssh-'))
  const close = () => rm(folder, { recursive: true, force: true })
  try {
    const key = privateKey.reveal().trim()
    await writeFile(join(folder, 'key'), `${key}\n`, { mode: 0o600, flag: 'wx' })
    const known = settings.hostKeys.map((line) => `${ALIAS} ${line.trim().split(/\s+/, 2).join(' ')}\n`)
    await writeFile(join(folder, 'known_hosts'), known.join(''), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    await close()
    throw error
  }
  const args = [...optionsOf(settings, folder), '--', settings.host, settings.sudo ? AS_ROOT : PLAIN]
  return { run: (script, signal) => runSsh(args, script, signal), [Symbol.asyncDispose]: close }
}

function optionsOf({ user, port }: SshSourceSettings, folder: string): string[] {
  const options: Record<string, string> = {
    HostKeyAlias: ALIAS,
    UserKnownHostsFile: join(folder, 'known_hosts'),
    GlobalKnownHostsFile: 'none',
    StrictHostKeyChecking: 'yes',
    UpdateHostKeys: 'no',
    VerifyHostKeyDNS: 'no',
    CheckHostIP: 'no',
    BatchMode: 'yes',
    IdentityFile: join(folder, 'key'),
    IdentitiesOnly: 'yes',
    IdentityAgent: 'none',
    PreferredAuthentications: 'publickey',
    ForwardAgent: 'no',
    ForwardX11: 'no',
    ClearAllForwardings: 'yes',
    PermitLocalCommand: 'no',
    ProxyCommand: 'none',
    ControlMaster: 'no',
    ControlPath: 'none',
    RequestTTY: 'no',
    ConnectTimeout: '10',
    ConnectionAttempts: '1',
    ServerAliveInterval: '15',
    ServerAliveCountMax: '3',
    LogLevel: 'ERROR',
  }
  const given = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  // -F none: no configuration of the machine has a say.
  return ['-F', 'none', '-T', '-p', String(port), '-l', user, ...given]
}

async function runSsh(args: readonly string[], script: string, signal: AbortSignal): Promise<Buffer> {
  const late = new AbortController()
  using _limit = after(RUN_MS, () => late.abort())
  const until = AbortSignal.any([signal, late.signal])
  // No agent, no configuration, no variable of this process reaches it.
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' }
  const child = spawn('ssh', args, { env, stdio: ['pipe', 'pipe', 'pipe'], signal: until, killSignal: 'SIGKILL' })
  const chunks: Buffer[] = []
  let [size, complaint] = [0, '']
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > OUTPUT_BYTES) child.kill('SIGKILL')
    else chunks.push(chunk)
  })
  child.stderr.on('data', (chunk: Buffer) => {
    if (complaint.length < 4_000) complaint += chunk.toString('utf8')
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(script)
  const code = await new Promise<number | string | null>((resolve) => {
    child.on('error', (error) => resolve('code' in error ? String(error.code) : 'error'))
    child.on('close', resolve)
  })
  signal.throwIfAborted()
  if (late.signal.aborted) throw new Unreadable('the host did not answer to the end in time')
  if (size > OUTPUT_BYTES) throw new Unreadable('the host says more than a reading takes')
  if (code === 'ENOENT') throw new Unreadable('this node has no OpenSSH client')
  if (code === 0) return Buffer.concat(chunks)
  throw new Unreadable(sentenceFor(complaint), { cause: new Error(complaint) })
}

/** What ssh complained of, in words of ours. */
function sentenceFor(complaint: string): string {
  if (/Host key verification failed|host key is known/.test(complaint))
    return 'the host shows another key than the settings have'
  if (/Permission denied/.test(complaint)) return 'the host refuses the key'
  if (/invalid format|error in libcrypto|incorrect passphrase/.test(complaint)) return 'the private key cannot be used'
  if (/sudo:/.test(complaint)) return 'sudo at the host asks for a password'
  if (/timed out/.test(complaint)) return 'the host does not answer in time'
  if (/refused|No route|Could not resolve|unreachable/.test(complaint)) return 'the host cannot be reached'
  return 'the connection to the host ended too early'
}
