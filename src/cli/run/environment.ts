import type { RunCredentials } from './credentials.ts'

/** Where the gateway listens and which database is meant. */
export type Endpoint = { readonly host: string; readonly port: number; readonly database: string | undefined }

/**
 * Of the caller's environment, what must not reach the command: our own proof, since the command has the grant and nothing more, and what would
 * lead libpq past the gateway or make it offer a password (PostgreSQL manual §32.15).
 */
const WITHHELD = [
  'REEVE_TOKEN',
  'REEVE_TOKEN_FILE',
  'REEVE_CLIENT_CERT',
  'REEVE_CLIENT_KEY',
  'PGPASSWORD',
  'PGPASSFILE',
  'PGHOSTADDR',
  'PGSERVICE',
  'PGSERVICEFILE',
  'PGSSLCERTMODE',
  'PGSSLCRL',
  'PGSSLCRLDIR',
  'PGSSLPASSWORD',
  'PGREQUIREAUTH',
  'PGREQUIREPEER',
]

/** The command's environment: the caller's, with libpq led to the gateway by the run's own certificate. */
export function runEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  credentials: Pick<RunCredentials, 'user' | 'keyFile' | 'certificateFile' | 'authorityFile'>,
  { host, port, database }: Endpoint,
): Record<string, string> {
  const kept = Object.entries(env).filter(([name]) => !WITHHELD.includes(name))
  return {
    ...Object.fromEntries(kept.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))),
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: credentials.user,
    ...(database !== undefined && { PGDATABASE: database }),
    PGSSLMODE: 'verify-full',
    PGSSLCERT: credentials.certificateFile,
    PGSSLKEY: credentials.keyFile,
    PGSSLROOTCERT: credentials.authorityFile,
  }
}
