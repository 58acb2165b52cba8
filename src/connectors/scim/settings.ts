import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

/** What `source.settings` holds for `scim`: where a server of SCIM 2.0 answers. */
export const ScimSourceSettings = z
  .strictObject({
    url: shown(
      z
        .url({ protocol: /^https?$/ })
        .max(250)
        .refine(
          (url) => /^https?:\/\/[^@?#]+$/.test(url),
          'write the base of its resources, without a login or a query',
        ),
    ).describe('the base, such as https://id.example/scim/v2'),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the server'),
  })
  .meta({ id: 'ScimSourceSettings', classification: 'public' })
export type ScimSourceSettings = z.output<typeof ScimSourceSettings>

/** A token that reads users and groups, or a login and password. */
export const ScimSourceCredential = z.union([
  z.strictObject({ token: z.string().min(1).max(10_000) }),
  z.strictObject({ user: z.string().min(1).max(300), password: z.string().min(1).max(1_000) }),
])
