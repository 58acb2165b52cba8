import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

/** What `source.settings` holds for `gitea`: a forge, by its address. */
export const GiteaSourceSettings = z
  .strictObject({
    url: shown(
      z
        .url({ protocol: /^https?$/ })
        .max(300)
        .refine(
          (url) => /^https?:\/\/[^@?#]+$/.test(url),
          'write the address of the forge, without a login or a query',
        ),
    ),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the forge'),
  })
  .meta({ id: 'GiteaSourceSettings', classification: 'public' })
export type GiteaSourceSettings = z.output<typeof GiteaSourceSettings>

/** A token that reads; a login and password beside it, because Gitea lists tokens for nobody else. */
export const GiteaSourceCredential = z.strictObject({
  token: z.string().min(1).max(1_000),
  user: z.string().min(1).max(200).optional(),
  password: z.string().min(1).max(1_000).optional(),
})
