import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { ApiAddress, isProtected, PLAIN, Reached } from '../issued/address.ts'

/** What `target.settings` holds for `openbao`, and for Vault, whose API is the same: where it is, and under which policies leases are read. */
export const OpenbaoSettings = z
  .strictObject({
    server: ApiAddress.describe('address of the API, without /v1'),
    ...Reached,
    namespace: shown(
      z
        .string()
        .regex(/^[\w-]+(\/[\w-]+)*\/?$/)
        .max(200),
    ).optional(),
    policies: shown(
      z
        .array(z.string().regex(/^[\w.-]{1,128}$/))
        .min(1)
        .max(16),
    ).describe('of the token that reads a secret for one lease: no more than reading those paths'),
    maxSeconds: shown(z.int().min(60).max(86_400)).default(3600).describe('the longest life of one secret'),
  })
  .refine(({ server, plaintext }) => isProtected(server, plaintext), { path: ['server'], message: PLAIN })
  .meta({ id: 'OpenbaoSettings', classification: 'public' })
export type OpenbaoSettings = z.output<typeof OpenbaoSettings>
