import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

/** https, or http to this machine itself: a token goes there. */
const Endpoint = z
  .url({ protocol: /^https?$/ })
  .max(300)
  .refine((url) => /^(?:https:\/\/[^/@?#]+|http:\/\/(?:127\.0\.0\.1|localhost)(?::\d+)?)\/?$/.test(url), {
    message: 'write https and the address of the API, without a path; http only of this machine itself',
  })

/** What `source.settings` holds for `gcp`: an organization, a folder or a project, by its asset inventory or by an export of that. */
export const GcpSourceSettings = z
  .strictObject({
    parent: shown(
      z
        .string()
        .max(100)
        .regex(
          /^(?:organizations\/\d+|folders\/\d+|projects\/[a-z0-9][a-z0-9:.-]*)$/,
          'write organizations/…, folders/… or projects/…',
        ),
    ).describe('what is read, with all that is below it'),
    assetsFrom: shown(Endpoint).default('https://cloudasset.googleapis.com'),
    activityFrom: shown(Endpoint).default('https://policyanalyzer.googleapis.com'),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of these addresses'),
    activitySeesAll: shown(z.boolean())
      .default(false)
      .describe('whether calls of Google’s APIs are all that keys are used for; only then is the want of use proven'),
    exportFolder: shown(z.string().max(1000).regex(/^\//, 'name it from the root on'))
      .optional()
      .describe('a folder with files of `gcloud asset export` that the node can read, instead of the API'),
  })
  .meta({ id: 'GcpSourceSettings', classification: 'public' })
export type GcpSourceSettings = z.output<typeof GcpSourceSettings>

/** The file of a key as Google gives it out, or a token that somebody else made. */
export const GcpLogin = z.union([
  z.strictObject({ token: z.string().min(1).max(20_000) }),
  z.object({
    type: z.literal('service_account').optional(),
    client_email: z.email().max(300),
    private_key_id: z.string().min(1).max(200),
    private_key: z.string().min(1).max(20_000),
  }),
])
export type GcpLogin = z.output<typeof GcpLogin>

/** `{}` where an export is read. */
export const GcpSourceCredential = z.union([z.strictObject({}), GcpLogin])
