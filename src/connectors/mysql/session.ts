import { enterMysql, mysqlErrno, mysqlCode, mysqlText, type MysqlRow } from '../../credentials/credentials.ts'
import { Secret } from '../../kernel/secret.ts'
import { after } from '../../kernel/timer.ts'
import {
  Denied,
  loginOf,
  oddAnswer,
  Unreadable,
  type Given,
  type Missing,
  type NativeId,
  type Page,
} from '../connector.ts'
import { MARIADB, MYSQL, type Dialect } from './dialects.ts'
import { MysqlCredential, MysqlSourceSettings } from './settings.ts'

/** Rows of one page: small enough to hold, large enough that the way there and back does not count. */
const PAGE_ROWS = 1_000

export type Row = MysqlRow
/** A connection to one server, whose answers are rows. */
export type Session = AsyncDisposable & {
  readonly given: Given
  readonly dialect: Dialect
  readonly version: string
  query(text: string, values?: readonly (string | number)[]): Promise<MysqlRow[]>
}

/** Shorter than a page may take: whoever reads hears why. */
const ANSWER_MS = 100_000

/** Logs in. Throws `Unreadable` with the code of the failure, and for a server that this release does not read. */
export async function openSession(
  given: Given,
  { patienceMs = ANSWER_MS }: { readonly patienceMs?: number },
  signal: AbortSignal,
): Promise<Session> {
  const settings = MysqlSourceSettings.parse(given.settings)
  const { user, password } = loginOf(given, MysqlCredential, 'login to read it with')
  const left = new AbortController()
  const until = AbortSignal.any([signal, left.signal])
  const inTime = async <T>(work: () => Promise<T>): Promise<T> => {
    using _late = after(patienceMs, () => left.abort(new Unreadable('the server did not answer in time')))
    return await work()
  }
  const entering = inTime(() => enterMysql(settings, { user, secret: new Secret(password) }, until))
  const upstream = await entering.catch((error: unknown) => {
    until.throwIfAborted()
    throw oddAnswer(error) ?? new Unreadable(`the server cannot be entered (${mysqlCode(error)})`, { cause: error })
  })
  const query: Session['query'] = async (text, values) => {
    try {
      return await inTime(() => upstream.query('reading the catalog', text, values))
    } catch (error) {
      throw reasonOf(error)
    }
  }
  try {
    const [server] = await query('select version() as version')
    const version = mysqlText(server, 'version')
    return {
      given,
      dialect: dialectOf(version),
      version: version.replaceAll(/[^\w.+~:-]/g, ''),
      query,
      [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
    }
  } catch (error) {
    await upstream[Symbol.asyncDispose]()
    throw error
  }
}

/** What the server says of a column, a table, a function or a syntax that it does not know. */
const UNHEARD_OF = new Set([1054, 1064, 1109, 1146, 1193, 1305])

function reasonOf(error: unknown): unknown {
  const odd = oddAnswer(error)
  if (odd) return odd
  const errno = mysqlErrno(error) ?? 0
  if (!UNHEARD_OF.has(errno)) return error
  return new Unreadable(`the server is of a version or a product other than what is read here (${errno})`, {
    cause: error,
  })
}

/** MySQL has roles and secrets in JSON from 8.0 on. */
function dialectOf(version: string): Dialect {
  if (/mariadb/i.test(version)) return MARIADB
  if (Number.parseInt(version, 10) >= 8) return MYSQL
  throw new Unreadable('it is neither MariaDB nor MySQL 8.0 or later: others keep their users elsewhere')
}

/** The server's refusals of a statement for want of a right. */
const LACKING = new Set([1044, 1142, 1143, 1227, 1370])

/** Runs a query that needs a right of its own; without the right the scope is denied, and says which one. */
export async function needing<T>(missing: Missing, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (LACKING.has(mysqlErrno(error) ?? 0)) throw new Denied(missing, { cause: error })
    throw error
  }
}

/**
 * Pages by a key that the query names `k`, in hex: unlike names in a collation it is the same for nobody else, and grows. What is read begins with
 * what the scope needs, since lists of rights show a login without it only its own.
 */
export async function* byKey(
  session: Session,
  { text, missing, from }: { readonly text: string; readonly missing: Missing; readonly from: string | undefined },
  make: (row: MysqlRow) => Page['observations'],
): AsyncGenerator<Page, void> {
  let after = from ?? ''
  for (;;) {
    const rows = await needing(missing, () =>
      session.query(`select * from (${text}) t where k > ? order by k limit ${PAGE_ROWS}`, [after]),
    )
    after = mysqlText(rows.at(-1), 'k') || after
    if (rows.length > 0) yield { observations: rows.flatMap((row) => make(row)), cursor: after }
    if (rows.length < PAGE_ROWS) return
  }
}

/** This login as lists of rights name it. */
export const OWN = `concat('''', substring_index(current_user(), '@', 1), '''@''', substring_index(current_user(), '@', -1), '''')`

/**
 * Throws `Denied` unless the login reads the server's own tables, all of them: who reads single ones is shown lists of rights that are only its own.
 * Every server has users that nobody enters as; roles of MariaDB, which stand in such a list too, have no host.
 */
export async function mustReadTables(session: Session, missing: Missing): Promise<void> {
  await needing(missing, () => session.query('select count(*) as n from mysql.db'))
  const others = await session.query(
    `select grantee as grantee from information_schema.user_privileges where grantee <> ${OWN} and grantee like '%@''_%''' limit 1`,
  )
  if (others.length === 0) throw new Denied(missing)
}

export const TABLES_MISSING: Missing = {
  what: 'users, roles and rights of others',
  why: 'the login may not read the server’s own tables',
  permission: 'SELECT on mysql.*',
}

export const SERVER: NativeId = { kind: 'server', id: 'server' }
/** A host has no `@` in it, so the last one parts the two. Roles have no host. */
export const user = (name: string, host: string): NativeId => ({ kind: 'user', id: `${name}@${host}` })

/** The two halves of what the server writes as `'user'@'host'`. */
export function halvesOf(grantee: string): { readonly name: string; readonly host: string } {
  const [, name = grantee, host = ''] = /^'([\s\S]*)'@'([^']*)'$/.exec(grantee) ?? []
  return { name, host }
}
