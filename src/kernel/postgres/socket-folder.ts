import { createHash } from 'node:crypto'
import { chmodSync, chownSync, lstatSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { firstClosedParent, type Account } from './account.ts'
import { CannotStartPostgres, codeOf, explainWrite } from './failure.ts'

/** `sun_path` holds 108 bytes with its final zero on Linux; PostgreSQL refuses longer names. */
const LONGEST_SOCKET_PATH_BYTES = 107

export const SOCKET_PORT = 5432

/** Where the socket of the cluster in `home` lives: `home/run`, or a short private folder when that name would be too long. */
export function socketFolderFor(home: string, account: Account, temporary: string = tmpdir()): string {
  const inside = join(home, 'run')
  if (Buffer.byteLength(`${inside}/.s.PGSQL.${SOCKET_PORT}`) <= LONGEST_SOCKET_PATH_BYTES) return inside
  const name = createHash('sha256').update(home).digest('hex').slice(0, 16)
  return join(temporary, `reeve-${account.uid}-${name}`)
}

/**
 * Makes the folder private to `account`, or checks that it is. In a shared temporary folder anybody may have made the name first:
 * who owns the folder could replace the socket and collect passwords, so another owner or a wider mode is refused, never repaired.
 */
export function preparePrivateFolder(folder: string, account: Account): void {
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw explainWrite(error, folder)
  }
  const entry = lstatSync(folder)
  const self = process.getuid?.()
  if (!entry.isDirectory() || (entry.uid !== account.uid && entry.uid !== self)) {
    throw foreign(folder, entry.isDirectory() ? `belongs to uid ${entry.uid}` : 'is not a folder')
  }
  if ((entry.mode & 0o077) !== 0) throw foreign(folder, `is open to others (mode ${(entry.mode & 0o777).toString(8)})`)
  // A umask can only have taken bits away.
  chmodSync(folder, 0o700)
  if (account.isDropped && entry.uid !== account.uid) chownSync(folder, account.uid, account.gid)
  const closed = firstClosedParent(account, folder)
  if (closed !== undefined) throw unreachable(folder, closed, account)
}

export function unreachable(folder: string, closed: string, account: Account): CannotStartPostgres {
  return new CannotStartPostgres(
    'unreachable-folder',
    `PostgreSQL does not run as root, and uid ${account.uid}, which it runs as instead, may not pass through ${closed} to ${folder}. ` +
      `Run "chmod o+x ${closed}", choose another REEVE_HOME (such as /var/lib/reeve), run as an ordinary user, or set REEVE_DATABASE_URL to use an external PostgreSQL.`,
  )
}

function foreign(folder: string, what: string): CannotStartPostgres {
  return new CannotStartPostgres(
    'foreign-folder',
    `The folder for PostgreSQL's socket, ${folder}, ${what}; it must be private to uid ${process.getuid?.() ?? '?'}. Somebody else may have made it: look at it, remove it, and start again.`,
  )
}
