import type { z } from 'zod'
import { PostgresSettings } from '../../credentials/contract.ts'
import type { TlsChoice } from './wire/upstream.ts'

export { PostgresSettings }
export type SessionLimits = z.output<typeof PostgresSettings>['session']

/** How a target's settings read as an upstream's address and TLS. */
export function upstreamOf(settings: z.output<typeof PostgresSettings>): {
  address: { host: string; port: number } | { socketPath: string }
  tls: TlsChoice
} {
  const { host, port, tls } = settings
  return {
    address: host.startsWith('/') ? { socketPath: `${host}/.s.PGSQL.${port}` } : { host, port },
    tls: {
      mode: tls.mode,
      ...(tls.ca !== undefined && { ca: tls.ca }),
      ...(tls.serverName !== undefined && { serverName: tls.serverName }),
    },
  }
}
