import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createConnection } from 'mysql2/promise'
import { certificateOf, ecKey, pemKey } from '../../support/certificates.ts'
import { eventually } from '../../support/eventually.ts'
import type { Cleaning } from '../../support/installation.ts'
import { debianUnstable } from './debian-unstable.ts'
import { freePort } from '../../support/free-port.ts'

const run = promisify(execFile)

export type Mysql = {
  readonly port: number
  readonly version: string
  readonly ca: string
  /** As root of the server: each statement by itself, and the rows of the last. */
  sql(...statements: string[]): Promise<Record<string, unknown>[]>
  /** Any login, over TLS. */
  as(user: string, password: string, text: string): Promise<Record<string, unknown>[]>
  generalLog(): string
}

/** MySQL in a folder of its own with TLS, on a free port of the loopback. It is ended by its process alone. */
export async function startMysql(cleaning: Cleaning): Promise<Mysql> {
  // Debian unstable has the MySQL that its releases have not.
  const { root, loader, begin: beginOf } = await debianUnstable('mysql-debian-unstable', ['mysql-server-core'])
  const folder = await mkdtemp(join(tmpdir(), 'reeve-mysql-'))
  const at = (name: string) => join(folder, name)
  const begin = [...beginOf('usr/sbin/mysqld'), '--no-defaults']
  const shared = [`--datadir=${at('data')}`, `--basedir=${join(root, 'usr')}`, `--user=${userInfo().username}`]
  const messages = [`--lc-messages-dir=${join(root, 'usr/share/mysql')}`]
  await run(loader, [...begin, ...shared, ...messages, '--initialize-insecure'])
  const authority = certificateOf({ subject: 'Test CA', isAuthority: true, key: ecKey() })
  const issuer = { subject: 'Test CA', key: authority.key }
  const server = certificateOf({ subject: 'localhost', issuer, names: ['localhost'] })
  await writeFile(at('ca.pem'), authority.pem)
  await writeFile(at('cert.pem'), server.pem)
  await writeFile(at('key.pem'), pemKey(server.key), { mode: 0o600 })
  const port = await freePort()
  const files = {
    'ssl-ca': 'ca.pem',
    'ssl-cert': 'cert.pem',
    'ssl-key': 'key.pem',
    'general-log-file': 'general.log',
    socket: 'socket',
    'pid-file': 'pid',
  }
  const args = [
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--mysqlx=0',
    '--general-log=1',
    '--innodb-buffer-pool-size=32M',
    '--skip-log-bin',
    '--secure-file-priv=',
    ...Object.entries(files).map(([name, file]) => `--${name}=${at(file)}`),
  ]
  const child = spawn(loader, [...begin, ...shared, ...messages, ...args], { stdio: 'ignore' })
  const ended = once(child, 'exit')
  cleaning.after(async () => {
    child.kill('SIGKILL')
    await ended
    await rm(folder, { recursive: true, force: true })
  })
  const query = async (options: Parameters<typeof createConnection>[0], statements: readonly string[]) => {
    const connection = await createConnection(options)
    try {
      let rows: unknown
      for (const text of statements) [rows] = await connection.query(text)
      return Array.isArray(rows) ? rows.map((row): Record<string, unknown> => ({ ...row })) : []
    } finally {
      await connection.end()
    }
  }
  const sql: Mysql['sql'] = (...statements) => query({ socketPath: at('socket'), user: 'root' }, statements)
  const [row] = await eventually(() =>
    sql('select version() as version').catch(() => {
      assert.equal(child.exitCode, null, 'MySQL did not start')
      return undefined
    }),
  )
  const ca = authority.pem
  return {
    port,
    version: String(row?.['version']),
    ca,
    sql,
    as: (user, password, text) => query({ host: 'localhost', port, user, password, ssl: { ca } }, [text]),
    generalLog: () => readFileSync(at('general.log'), 'utf8'),
  }
}
