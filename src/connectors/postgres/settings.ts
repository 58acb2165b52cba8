import { z } from 'zod'
import { Login } from '../../catalog/contract.ts'
import { PostgresSettings } from '../../credentials/contract.ts'

const shown = { classification: 'public' }

/** What `source.settings` holds for `postgres`: where the cluster listens, and perhaps where its log can be read. */
export const PostgresSourceSettings = PostgresSettings.pick({ host: true, port: true, database: true, tls: true })
  .extend({
    log: z
      .strictObject({
        path: z.string().min(1).max(1000).meta(shown).describe('a file that this node can read'),
        format: z.enum(['csvlog', 'jsonlog']).meta(shown),
      })
      .meta(shown)
      .optional()
      .describe('the server log, as PostgreSQL writes it with log_connections or pgaudit'),
  })
  .meta({ id: 'PostgresSourceSettings', ...shown })
export type PostgresSourceSettings = z.output<typeof PostgresSourceSettings>

export { Login as PostgresCredential }
