import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { certificateOf, ecKey, pemKey } from './certificates.ts'
import { eventually } from './eventually.ts'
import type { Cleaning } from './installation.ts'
import { freePort } from './free-port.ts'

const execute = promisify(execFile)

export type Mariadb = {
  readonly port: number
  readonly folder: string
  /** The authority of its certificate, which is for `localhost`. */
  readonly ca: string
  /** As root of the server, over its socket: every row is one line. */
  sql(text: string): Promise<string>
  /** Any login, with the real client, over TLS unless it says otherwise. */
  as(user: string, password: string, text: string, more?: readonly string[]): Promise<string>
  generalLog(): string
}

/** Debian's own MariaDB in a folder of its own, with TLS, on a free port of the loopback. It is ended by its process alone. */
export async function startMariadb(cleaning: Cleaning): Promise<Mariadb> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-mariadb-'))
  const data = join(folder, 'data')
  const socket = join(folder, 'socket')
  const log = join(folder, 'general.log')
  await execute('mariadb-install-db', [
    '--no-defaults',
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ])
  const authority = certificateOf({ subject: 'Test CA', isAuthority: true, key: ecKey() })
  const issuer = { subject: 'Test CA', key: authority.key }
  const server = certificateOf({ subject: 'localhost', issuer, names: ['localhost'] })
  writeFileSync(join(folder, 'ca.pem'), authority.pem)
  writeFileSync(join(folder, 'cert.pem'), server.pem)
  writeFileSync(join(folder, 'key.pem'), pemKey(server.key), { mode: 0o600 })
  const port = await freePort()
  const child = spawn(
    '/usr/sbin/mariadbd',
    [
      '--no-defaults',
      `--datadir=${data}`,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      `--socket=${socket}`,
      `--pid-file=${join(folder, 'pid')}`,
      `--user=${userInfo().username}`,
      `--ssl-ca=${join(folder, 'ca.pem')}`,
      `--ssl-cert=${join(folder, 'cert.pem')}`,
      `--ssl-key=${join(folder, 'key.pem')}`,
      '--performance-schema=on',
      '--general-log=1',
      `--general-log-file=${log}`,
      '--innodb-buffer-pool-size=16M',
    ],
    { stdio: 'ignore' },
  )
  const ended = once(child, 'exit')
  cleaning.after(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  const client = async (args: readonly string[]) => {
    const { stdout } = await execute('mariadb', ['--no-defaults', '--batch', '--skip-column-names', ...args])
    return stdout.trim()
  }
  const sql = (text: string) => client(['-S', socket, '-u', 'root', '-e', text])
  await eventually(() =>
    sql('select 1').catch(() => {
      assert.equal(child.exitCode, null, 'MariaDB did not start')
      return undefined
    }),
  )
  return {
    port,
    folder,
    ca: authority.pem,
    sql,
    as: (user, password, text, more = ['--ssl-verify-server-cert', `--ssl-ca=${join(folder, 'ca.pem')}`]) =>
      client([
        '-h',
        'localhost',
        '--protocol=tcp',
        '-P',
        String(port),
        '-u',
        user,
        `-p${password}`,
        ...more,
        '-e',
        text,
      ]),
    generalLog: () => readFileSync(log, 'utf8'),
  }
}
