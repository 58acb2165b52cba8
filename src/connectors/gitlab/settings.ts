import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

/** What `source.settings` holds for `gitlab`: one group, with its subgroups. */
export const GitlabSourceSettings = z
  .strictObject({
    url: shown(
      z
        .url({ protocol: /^https?$/ })
        .max(300)
        .refine((url) => /^https?:\/\/[^@?#]+$/.test(url), 'write the address of GitLab, without a login or a query'),
    ).default('https://gitlab.com'),
    group: shown(z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_./-]{0,299}$/, 'name a group by its path or number')),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of GitLab'),
  })
  .meta({ id: 'GitlabSourceSettings', classification: 'public' })
export type GitlabSourceSettings = z.output<typeof GitlabSourceSettings>

/** A personal, group or project access token with `read_api`. */
export const GitlabSourceCredential = z.strictObject({ token: z.string().min(1).max(1_000) })
