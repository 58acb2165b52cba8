import { randomBytes, randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { closeSync, fsyncSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { Secret } from '../secret.ts'
import { firstClosedParent, runAs, type Account } from './account.ts'
import type { Binaries } from './binaries.ts'
import { CannotStartPostgres, codeOf, explainOutput, explainWrite } from './failure.ts'
import { unreachable } from './socket-folder.ts'

export const OWNER = 'reeve_owner'
export const SERVER = 'reeve_server'
export const DATABASE = 'reeve'

/** A random password for each role; made once, with the cluster. */
export type Passwords = { readonly owner: Secret; readonly server: Secret }

const PasswordFile = z.strictObject({ owner: z.string().min(32).max(128), server: z.string().min(32).max(128) })

/** Makes the home folder if there is none, and says now, not in the middle of `initdb`, when PostgreSQL could not work in it. */
export function prepareHome(home: string, account: Account): void {
  try {
    const first = mkdirSync(home, { recursive: true, mode: account.isDropped ? 0o711 : 0o700 })
    // The umask may have closed what we made; what was there before is not ours to open.
    if (first !== undefined && account.isDropped) {
      for (let made = home; made.length >= first.length; made = dirname(made)) chmodSync(made, 0o711)
    }
    const probe = join(home, `probe-${randomUUID()}`)
    writeFileSync(probe, 'x')
    rmSync(probe)
  } catch (error) {
    throw explainWrite(error, home)
  }
  const closed = firstClosedParent(account, join(home, 'cluster'))
  if (closed !== undefined) throw unreachable(home, closed, account)
}

/**
 * The cluster (data, passwords) appears in one rename, complete with its roles, database and access rules. Of two processes that make one
 * at the same time one wins and the other drops its own; a kill in the middle leaves a draft that the next one sweeps.
 */
export async function ensureCluster(
  home: string,
  account: Account,
  binaries: Binaries,
  isDurable: boolean,
): Promise<void> {
  const cluster = join(home, 'cluster')
  if (existsSync(cluster)) return checkVersion(join(cluster, 'data'), binaries)
  sweepDrafts(home)
  const draft = join(home, `draft-${process.pid}-${randomUUID()}`)
  const passwords = { owner: newPassword(), server: newPassword() }
  try {
    mkdirSync(draft)
    chmodSync(draft, account.isDropped ? 0o711 : 0o700)
    writeFileSync(join(draft, 'passwords.json'), JSON.stringify(passwords), { mode: 0o600, flush: isDurable })
    await createData(join(binaries.folder, 'bin'), account, join(draft, 'data'), {
      superuser: OWNER,
      locale: ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'],
      isDurable,
      hba: ['local all all scram-sha-256'],
      sql: rolesAndDatabase(passwords),
    })
    if (isDurable) syncFolder(draft)
    renameSync(draft, cluster)
    if (isDurable) syncFolder(home)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(cluster)) throw explainWrite(error, home)
  }
}

/** Who connects as what: the server's role owns nothing and may create nothing, so that no table's trigger can be turned off by it. */
function rolesAndDatabase(passwords: { owner: string; server: string }): string[] {
  return [
    `alter role ${OWNER} password '${passwords.owner}'`,
    `create role ${SERVER} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password '${passwords.server}'`,
    `create database ${DATABASE} owner ${OWNER}`,
    `revoke all on database ${DATABASE}, postgres, template1 from public`,
    `grant connect on database ${DATABASE} to ${SERVER}`,
  ]
}

/** `initdb`, then our own access rules and the first statements in single-user mode: at no instant can anybody connect without a password. */
export async function createData(
  binFolder: string,
  account: Account,
  dataFolder: string,
  options: {
    superuser: string
    locale: readonly string[]
    isDurable: boolean
    hba: readonly string[]
    sql: readonly string[]
  },
): Promise<void> {
  mkdirSync(dataFolder, { mode: 0o700 })
  if (account.isDropped) chownSync(dataFolder, account.uid, account.gid)
  const { superuser, locale, isDurable, hba, sql } = options
  const initdb = ['-D', dataFolder, '-U', superuser, '--auth=reject', '--encoding=UTF8', '--data-checksums', ...locale]
  if (!isDurable) initdb.push('--no-sync')
  const made = await runAs(account, [join(binFolder, 'initdb'), ...initdb])
  if (made.code !== 0) throw explainOutput('initdb', made.output, dataFolder)
  writeFileSync(join(dataFolder, 'pg_hba.conf'), hba.map((line) => `${line}\n`).join(''))
  // Standard input in the -j form ends a statement at a semicolon and an empty line. A failing statement must not be printed: it has a password.
  const single = ['--single', '-j', '-D', dataFolder, '-c', 'log_min_error_statement=panic', '-c', 'exit_on_error=on']
  if (!isDurable) single.push('-c', 'fsync=off')
  const input = sql.map((statement) => `${statement};\n\n`).join('')
  const spoken = await runAs(account, [join(binFolder, 'postgres'), ...single, 'postgres'], input)
  if (spoken.code !== 0) throw explainOutput('postgres', spoken.output, dataFolder)
}

export function readPasswords(home: string): Passwords {
  const path = join(home, 'cluster', 'passwords.json')
  try {
    const { owner, server } = PasswordFile.parse(JSON.parse(readFileSync(path, 'utf8')))
    return { owner: new Secret(owner), server: new Secret(server) }
  } catch (error) {
    if (codeOf(error) === 'EACCES') throw explainWrite(error, path)
    // The cause of a parse error quotes the text, which is secret.
    throw new CannotStartPostgres(
      'damaged-folder',
      `The passwords of the embedded PostgreSQL, ${path}, are missing or damaged. Restore them from a backup.`,
    )
  }
}

function checkVersion(dataFolder: string, binaries: Binaries): void {
  let written: string
  try {
    written = readFileSync(join(dataFolder, 'PG_VERSION'), 'utf8').trim()
  } catch (error) {
    if (codeOf(error) === 'EACCES') throw explainWrite(error, dataFolder)
    throw new CannotStartPostgres(
      'damaged-folder',
      `${dataFolder} is not a PostgreSQL data folder: PG_VERSION is missing. Restore it from a backup.`,
      { cause: error },
    )
  }
  if (written === String(binaries.major)) return
  throw new CannotStartPostgres(
    'wrong-version',
    `The data in ${dataFolder} was written by PostgreSQL ${written}, and this version of Reeve brings PostgreSQL ${binaries.major}. ` +
      'Start the version of Reeve that wrote it and take a backup there, or upgrade the folder with pg_upgrade.',
  )
}

/** 256 bits in an alphabet that needs no quoting anywhere. */
function newPassword(): string {
  return randomBytes(32).toString('base64url')
}

function sweepDrafts(home: string): void {
  for (const name of readdirSync(home)) {
    const pid = Number(/^draft-(\d+)-/.exec(name)?.[1] ?? 'none')
    if (!Number.isNaN(pid) && !isAlive(pid)) rmSync(join(home, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) !== 'ESRCH'
  }
}

/** A rename is durable when the folder that holds the name is. */
function syncFolder(folder: string): void {
  const file = openSync(folder, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
