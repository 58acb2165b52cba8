import type pg from 'pg'
import type { PostgresSettings } from './settings.ts'

type Ssl = NonNullable<pg.ClientConfig['ssl']>

const UNVERIFIED: Ssl = { rejectUnauthorized: false }

/**
 * The ways to try a connection, in order, as libpq's sslmode has them (PostgreSQL manual §32.19.1): `require` with an authority of its own
 * verifies like `verify-ca`.
 */
export function tlsAttempts(settings: PostgresSettings): readonly Ssl[] {
  const ways: Record<PostgresSettings['tls']['mode'], readonly Ssl[]> = {
    disable: [false],
    allow: [false, UNVERIFIED],
    prefer: [UNVERIFIED, false],
    require: [settings.tls.ca === undefined ? UNVERIFIED : verified(settings, false)],
    'verify-ca': [verified(settings, false)],
    'verify-full': [verified(settings, true)],
  }
  return ways[settings.tls.mode]
}

function verified(settings: PostgresSettings, isNameChecked: boolean): Ssl {
  const { ca, serverName } = settings.tls
  return {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(isNameChecked ? {} : { checkServerIdentity: () => undefined }),
  }
}
