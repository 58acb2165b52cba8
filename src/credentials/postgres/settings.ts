import { z } from 'zod'

/** TLS towards the target, named as libpq names it. `allow` and `prefer` do not protect: whoever is in between can turn TLS off. */
const TLS_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

/** A certificate authority in PEM; a chain of a few fits. */
const PEM_MAX = 65_536

const shown = { classification: 'public' }

/** What `target.settings` holds for `postgres`: where the cluster listens and how it proves itself. */
export const PostgresSettings = z
  .strictObject({
    host: z.string().min(1).max(253).meta(shown).describe('name or address; a path names a socket folder'),
    port: z.int().min(1).max(65_535).default(5432).meta(shown),
    database: z.string().min(1).max(63).default('postgres').meta(shown).describe('where roles are made and ended'),
    tls: z
      .strictObject({
        mode: z.enum(TLS_MODES).meta(shown),
        ca: z.string().min(1).max(PEM_MAX).optional().meta(shown).describe('PEM; the public authorities when missing'),
        serverName: z
          .string()
          .min(1)
          .max(253)
          .optional()
          .meta(shown)
          .describe('the name in its certificate, if not host'),
      })
      .meta(shown)
      .default({ mode: 'verify-full' }),
    scramIterations: z
      .int()
      .min(1)
      .max(100_000)
      .default(1)
      .meta(shown)
      .describe('of the verifier of lease roles; their secrets are 256 random bits, which stretching does not improve'),
    session: z
      .strictObject({
        holdSeconds: z.int().min(1).max(3600).default(300).meta(shown),
        idleSeconds: z.int().min(1).max(86_400).default(3600).meta(shown),
        rowsPerStatement: z.int().min(1).max(1e12).default(1e9).meta(shown),
        bytesPerSession: z.int().min(1).max(1e15).default(1e12).meta(shown),
      })
      .meta(shown)
      .default({ holdSeconds: 300, idleSeconds: 3600, rowsPerStatement: 1e9, bytesPerSession: 1e12 })
      .describe('what one brokered session may take'),
  })
  .meta({ id: 'PostgresSettings', ...shown })
export type PostgresSettings = z.output<typeof PostgresSettings>
