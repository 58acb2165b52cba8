import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { Connection } from './db.ts'
import { isLoopback } from './config/schema.ts'
import { Secret } from './secret.ts'

type Ssl = NonNullable<Connection['ssl']>

/** A URL that cannot be used; the sentence never quotes the URL, which holds a password. */
export class ConnectionUrlInvalid extends Error {
  override readonly name = 'ConnectionUrlInvalid'
}

/** What is understood of libpq's parameters. Others are refused rather than ignored: one of them might have been about safety. */
const PARAMETERS = new Set([
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'application_name',
])

/**
 * Reads `postgresql://user:password@host:port/database?sslmode=…` as libpq does (PostgreSQL manual §32.1.1.2). `host` may be a socket folder.
 * Without `sslmode`, TLS is verified in full for everything but sockets and loopback; `allow` and `prefer` are refused, since they fall back to plain text.
 */
export function connectionFrom(url: Secret): Connection {
  // libpq lets the host be empty behind a user; WHATWG's parser does not.
  const parsed = URL.parse(url.reveal().replace(/^(postgres(?:ql)?:\/\/[^/?#]*@)(?=[/?]|$)/, '$1localhost'))
  if (!parsed || !['postgres:', 'postgresql:'].includes(parsed.protocol)) {
    throw new ConnectionUrlInvalid(
      'a database URL begins with postgresql:// and has no stray characters; escape them as %XX',
    )
  }
  for (const name of parsed.searchParams.keys()) {
    if (!PARAMETERS.has(name))
      throw new ConnectionUrlInvalid(`the parameter ${name} of the database URL is not understood`)
  }
  const given = (name: string) => parsed.searchParams.get(name) ?? undefined
  const host = given('host') ?? (bare(decoded(parsed.hostname)) || 'localhost')
  const user = given('user') ?? (decoded(parsed.username) || userInfo().username)
  return {
    host,
    port: portOf(given('port') ?? (parsed.port || '5432')),
    user,
    password: new Secret(given('password') ?? decoded(parsed.password)),
    database: given('dbname') ?? (decoded(parsed.pathname.slice(1)) || user),
    ssl: sslOf(host, given),
  }
}

function sslOf(host: string, given: (name: string) => string | undefined): Ssl | undefined {
  const isLocal = host.startsWith('/') || isLoopback(host)
  const mode = given('sslmode') ?? (isLocal ? 'disable' : 'verify-full')
  if (mode === 'disable') return undefined
  // libpq ignores TLS on sockets; `pg` would try.
  if (host.startsWith('/')) return undefined
  const ca = fileOf(given('sslrootcert'))
  const files = { ...(ca && { ca }), ...pair(given) }
  if (mode === 'verify-full') return { ...files, rejectUnauthorized: true }
  if (mode === 'verify-ca') return { ...files, rejectUnauthorized: true, checkServerIdentity: () => undefined }
  // As libpq: `require` with a root certificate verifies the chain.
  if (mode === 'require') {
    return ca ? { ...files, checkServerIdentity: () => undefined } : { ...files, rejectUnauthorized: false }
  }
  throw new ConnectionUrlInvalid(
    'sslmode must be disable, require, verify-ca or verify-full: the others fall back to plain text',
  )
}

function pair(given: (name: string) => string | undefined): { cert?: string; key?: string } {
  const cert = fileOf(given('sslcert'))
  const key = fileOf(given('sslkey'))
  if (!cert !== !key) throw new ConnectionUrlInvalid('sslcert and sslkey are given together')
  return cert && key ? { cert, key } : {}
}

function fileOf(path: string | undefined): string | undefined {
  if (path === undefined || path === 'system') return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new ConnectionUrlInvalid(`the file ${path} of the database URL cannot be read`, { cause: error })
  }
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new ConnectionUrlInvalid('the port of the database URL is not one')
  return port
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    throw new ConnectionUrlInvalid('the database URL has a stray percent sign; write it as %25', { cause: error })
  }
}

function bare(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}
