import { spawn } from 'node:child_process'
import { chownSync, chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { sleep } from '../../src/kernel/timer.ts'
import { freePort } from '../../test/support/free-port.ts'

const PROGRAM = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'].find(existsSync)
/** It refuses to run as root; `nobody` on Debian. */
const NOBODY = 65_534
const TICKS_PER_SECOND = 100

export type PgBouncer = AsyncDisposable & { readonly port: number; cpuMicros(): number }

type Behind = { readonly port: number; readonly database: string; readonly user: string; readonly password: string }

/** PgBouncer in session mode, with TLS for the clients that ask for it. Undefined where it is not installed. */
export async function startPgBouncer(
  behind: Behind,
  tls: { readonly key: string; readonly cert: string },
): Promise<PgBouncer | undefined> {
  if (!PROGRAM) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'reeve-bouncer-'))
  const port = await freePort()
  const files = {
    'server.key': tls.key,
    'server.crt': tls.cert,
    'users.txt': '',
    'pgbouncer.ini': [
      '[databases]',
      `${behind.database} = host=127.0.0.1 port=${behind.port} dbname=${behind.database} user=${behind.user} password=${behind.password}`,
      '[pgbouncer]',
      `listen_addr = 127.0.0.1`,
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = any',
      `auth_file = ${join(folder, 'users.txt')}`,
      'pool_mode = session',
      'default_pool_size = 100',
      'max_client_conn = 500',
      'server_tls_sslmode = disable',
      'client_tls_sslmode = allow',
      `client_tls_key_file = ${join(folder, 'server.key')}`,
      `client_tls_cert_file = ${join(folder, 'server.crt')}`,
      `logfile = ${join(folder, 'log')}`,
      'log_connections = 0',
      'log_disconnections = 0',
      'ignore_startup_parameters = extra_float_digits,options',
    ].join('\n'),
  }
  const isRoot = process.getuid?.() === 0
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    if (isRoot) chownSync(join(folder, name), NOBODY, NOBODY)
  }
  chmodSync(folder, 0o711)
  if (isRoot) chownSync(folder, NOBODY, NOBODY)
  const child = spawn(PROGRAM, [join(folder, 'pgbouncer.ini')], {
    stdio: 'ignore',
    ...(isRoot && { uid: NOBODY, gid: NOBODY }),
  })
  const exited = once(child, 'exit')
  for (let tries = 0; !(await answers(port)); tries++) {
    if (tries > 100 || child.exitCode !== null)
      throw new Error(`pgbouncer did not start: ${readFileSync(join(folder, 'log'), 'utf8')}`)
    await sleep(50)
  }
  return {
    port,
    cpuMicros() {
      // proc(5): the name may hold blanks, so fields are counted behind its bracket: utime is the 12th, stime the 13th.
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
      return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
