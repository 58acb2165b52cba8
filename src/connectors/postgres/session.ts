import { enterPostgres } from '../../credentials/credentials.ts'
import { PostgresSettings } from '../../credentials/contract.ts'
import { sqlState } from '../../kernel/db.ts'
import { Secret } from '../../kernel/secret.ts'
import { after } from '../../kernel/timer.ts'
import {
  oddAnswer,
  Denied,
  loginOf,
  Unreadable,
  type Given,
  type Missing,
  type NativeId,
  type Page,
} from '../connector.ts'
import { PostgresCredential, PostgresSourceSettings } from './settings.ts'

/** Rows of one page: small enough to hold, large enough that the way there and back does not count. */
export const PAGE_ROWS = 1_000

type Row = Record<string, unknown>

/** Connections to one cluster: one stays, to where roles are listed; one more while a database is read. */
export type Session = AsyncDisposable & {
  readonly given: Given
  readonly settings: PostgresSourceSettings
  query<R extends Row>(text: string, values?: readonly unknown[]): Promise<R[]>
  /** A connection to one database of the cluster. */
  enter(database: string, signal: AbortSignal): Promise<Entered>
}
export type Entered = AsyncDisposable & Pick<Session, 'query'>

/** Shorter than a page may take: whoever reads hears why. */
const ANSWER_MS = 100_000

/** Logs in. Throws `Unreadable` with the code of the failure. */
export async function openSession(
  given: Given,
  { patienceMs = ANSWER_MS }: { readonly patienceMs?: number },
  signal: AbortSignal,
): Promise<Session> {
  const settings = PostgresSourceSettings.parse(given.settings)
  const { user, password } = loginOf(given, PostgresCredential, 'login to read it with')
  const site = { target: 'the source', settings, provisioner: { user, secret: new Secret(password) } }
  const { host, port, database, tls } = settings
  const as = PostgresSettings.parse({ host, port, database, tls })
  const enter = async (name: string, whole: AbortSignal): Promise<Entered> => {
    const left = new AbortController()
    const until = AbortSignal.any([whole, left.signal])
    const inTime = async <T>(work: () => Promise<T>): Promise<T> => {
      using _late = after(patienceMs, () => left.abort(new Unreadable('the server did not answer in time')))
      return await work()
    }
    const entering = inTime(() => enterPostgres(site, as, name, until))
    const upstream = await entering.catch((error: unknown) => {
      until.throwIfAborted()
      const odd = oddAnswer(error)
      if (odd) throw odd
      const code = codeOf(error)
      // 28000: pg_hba.conf has no line for it; 42501: no CONNECT.
      if (name !== database && code === '42501') throw new Denied(CONNECT_MISSING, { cause: error })
      if (name !== database && code === '28000') throw new Denied(HBA_LINE_MISSING, { cause: error })
      throw new Unreadable(`the cluster cannot be entered (${code})${WORDS[code] ?? ''}`, { cause: error })
    })
    return {
      async query<R extends Row>(text: string, values?: readonly unknown[]): Promise<R[]> {
        try {
          return await inTime(() => upstream.query<R>('reading the catalog', text, values))
        } catch (error) {
          throw reasonOf(error)
        }
      },
      [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
    }
  }
  const first = await enter(database, signal)
  return {
    given,
    settings,
    ...first,
    query: first.query,
    enter,
    [Symbol.asyncDispose]: () => first[Symbol.asyncDispose](),
  }
}

const WHOLE = 'everything in this database'
export const CONNECT_MISSING: Missing = {
  what: WHOLE,
  why: 'the login may not connect to it',
  permission: 'CONNECT on the database',
}
const HBA_LINE_MISSING: Missing = {
  what: WHOLE,
  why: 'the server does not let the login in from here',
  permission: 'a line of pg_hba.conf that lets the login into the database',
}

/** Codes that whoever gave address and login can do something about (PostgreSQL, Appendix A; errno of the system). */
const WORDS: Readonly<Record<string, string>> = {
  '28P01': ': the name or the password of the login is wrong',
  '28000': ': no line of pg_hba.conf lets the login in from here, or not like this',
  '3D000': ': there is no such database',
  ECONNREFUSED: ': nothing listens at its address',
  ENOTFOUND: ': its name has no address',
  EHOSTUNREACH: ': no way leads to its address',
}

/** What the driver says of a server that takes no TLS; it has no code for it. */
const NO_TLS = 'The server does not support SSL connections'

/** The code of PostgreSQL or of the system, wherever in the chain of causes it is. */
export function codeOf(error: unknown): string {
  const state = sqlState(error)
  if (state !== undefined) return state
  if (!(error instanceof Error)) return 'no code'
  if (error.message === NO_TLS) return 'it offers no TLS'
  if ('code' in error && typeof error.code === 'string' && /^[A-Z0-9_]{1,40}$/.test(error.code)) return error.code
  return error.cause === undefined ? 'no code' : codeOf(error.cause)
}

/** What the server says of a column, a table, a function or a syntax that it does not know (PostgreSQL, Appendix A). */
const LACKS = new Set(['42703', '42P01', '42883', '42704', '42601', '0A000'])

function reasonOf(error: unknown): unknown {
  const odd = oddAnswer(error)
  if (odd) return odd
  const code = codeOf(error)
  if (!LACKS.has(code)) return error
  return new Unreadable(`the server is of a version or a product other than what is read here (${code})`, {
    cause: error,
  })
}

/** Runs a query that needs a right of its own; without the right the scope is denied, and says which one. */
export async function needing<T>(missing: Missing, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (codeOf(error) === '42501') throw new Denied(missing, { cause: error })
    throw error
  }
}

/** Pages by a growing oid. `make` turns one row into observations; the cursor is the oid of the last. */
export async function* byOid<R extends Row & { oid: number }>(
  from: string | undefined,
  fetch: (after: number) => Promise<R[]>,
  make: (row: R) => Page['observations'],
): AsyncGenerator<Page, void> {
  let after = Number(from ?? 0)
  for (;;) {
    const rows = await fetch(after)
    after = rows.at(-1)?.oid ?? after
    if (rows.length > 0) yield { observations: rows.flatMap((row) => make(row)), cursor: String(after) }
    if (rows.length < PAGE_ROWS) return
  }
}

export const CLUSTER: NativeId = { kind: 'cluster', id: 'cluster' }
/** Rights of everybody are held by oid 0, which no role has. */
export const role = (oid: number | string): NativeId => ({ kind: 'role', id: String(oid) })
export const database = (oid: number | string): NativeId => ({ kind: 'database', id: String(oid) })
