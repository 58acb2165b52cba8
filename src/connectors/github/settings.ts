import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

/** What `source.settings` holds for `github`: one organization at GitHub or at an Enterprise Server. */
export const GithubSourceSettings = z
  .strictObject({
    url: shown(
      z
        .url({ protocol: /^https?$/ })
        .max(300)
        .refine((url) => /^https?:\/\/[^@?#]+$/.test(url), 'write the address of the API, without a login or a query'),
    ).default('https://api.github.com'),
    organization: shown(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,99}$/, 'name an organization')),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of an Enterprise Server'),
  })
  .meta({ id: 'GithubSourceSettings', classification: 'public' })
export type GithubSourceSettings = z.output<typeof GithubSourceSettings>

/** An installation token of a GitHub App, or a personal access token. */
export const GithubSourceCredential = z.strictObject({ token: z.string().min(1).max(1_000) })
