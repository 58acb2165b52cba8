import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createConnection } from 'mysql2/promise'
import { certificateOf, ecKey, pemKey } from '../../support/certificates.ts'
import { eventually } from '../../support/eventually.ts'
import type { Cleaning } from '../../support/installation.ts'
import { build, keptFolder } from './folder.ts'
import { freePort } from '../../support/free-port.ts'

const run = promisify(execFile)

/** Debian unstable has the MySQL that its releases have not. It is unpacked with all that it needs into a folder of its own, and nothing is installed. */
async function mysqlHome(): Promise<string> {
  return keptFolder('mysql-debian-unstable', async (draft) => {
    const at = (name: string) => join(draft, name)
    for (const name of ['lists/partial', 'cache/archives/partial', 'root']) await mkdir(at(name), { recursive: true })
    const { stdout: sites } = await run('apt-get', [
      'indextargets',
      '--format',
      '$(SITE)',
      'Created-By: Packages',
      'Label: Debian',
    ])
    const [site] = sites.split('\n')
    if (!site) throw new Error('this machine knows no mirror of Debian')
    const key = '/usr/share/keyrings/debian-archive-keyring.gpg'
    await writeFile(at('sources.list'), `deb [signed-by=${key}] ${site} unstable main\n`)
    await writeFile(at('status'), '')
    const own = [
      `Dir::Etc::sourcelist=${at('sources.list')}`,
      'Dir::Etc::sourceparts=-',
      `Dir::State::lists=${at('lists')}`,
      `Dir::State::status=${at('status')}`,
      `Dir::Cache=${at('cache')}`,
      'Debug::NoLocking=1',
      'APT::Install-Recommends=0',
    ].flatMap((each) => ['-o', each])
    await build('apt-get', [...own, 'update', '-q'], draft)
    await build('apt-get', [...own, 'install', '-yq', '--download-only', 'mysql-server-core'], draft)
    const archives = (await readdir(at('cache/archives'))).filter((name) => name.endsWith('.deb'))
    for (const name of archives) await build('dpkg-deb', ['-x', join(at('cache/archives'), name), at('root')], draft)
    for (const name of ['lists', 'cache', 'status']) await rm(at(name), { recursive: true })
  })
}

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
  const root = join(await mysqlHome(), 'root')
  const folder = await mkdtemp(join(tmpdir(), 'reeve-mysql-'))
  const at = (name: string) => join(folder, name)
  const libraries = [join(root, 'usr/lib/x86_64-linux-gnu'), join(root, 'usr/lib/aarch64-linux-gnu')]
  const loader = process.arch === 'arm64' ? 'usr/lib/ld-linux-aarch64.so.1' : 'usr/lib64/ld-linux-x86-64.so.2'
  const begin = ['--library-path', libraries.join(':'), join(root, 'usr/sbin/mysqld'), '--no-defaults']
  const shared = [`--datadir=${at('data')}`, `--basedir=${join(root, 'usr')}`, `--user=${userInfo().username}`]
  const messages = [`--lc-messages-dir=${join(root, 'usr/share/mysql')}`]
  await run(join(root, loader), [...begin, ...shared, ...messages, '--initialize-insecure'])
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
  const child = spawn(join(root, loader), [...begin, ...shared, ...messages, ...args], { stdio: 'ignore' })
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
