import { z } from 'zod'
import { AWS_PARTITIONS } from '../../kernel/aws/query.ts'
import { shown } from '../../kernel/event.ts'

/** What `source.settings` holds for `aws`: one account, by the API of IAM. */
export const AwsSourceSettings = z
  .strictObject({
    partition: shown(z.enum(AWS_PARTITIONS)).default('aws'),
    endpoint: shown(z.url({ protocol: /^https?$/ }).max(300))
      .refine((url) => /^(?:https:\/\/[^/@?#]+|http:\/\/(?:127\.0\.0\.1|localhost)(?::\d+)?)\/?$/.test(url), {
        message: 'write https and the address of the API, without a path; http only of this machine itself',
      })
      .optional()
      .describe('instead of that of IAM'),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the endpoint'),
    withLastAccess: shown(z.boolean())
      .default(true)
      .describe('asks for each user and role when it used which action last: two or more calls for each'),
    trail: shown(z.string().max(1000).regex(/^\//, 'name it from the root on'))
      .optional()
      .describe('a folder with files of CloudTrail as it delivers them, that the node can read'),
    trailSeesAll: shown(z.boolean())
      .default(false)
      .describe(
        'whether this trail has every event of every region, those of data too; only then is the want of use proven',
      ),
  })
  .meta({ id: 'AwsSourceSettings', classification: 'public' })
export type AwsSourceSettings = z.output<typeof AwsSourceSettings>

/** A key of a user that may read IAM, or of a session of such a role. */
export const AwsSourceCredential = z.strictObject({
  accessKeyId: z.string().regex(/^\w{16,128}$/),
  secretAccessKey: z.string().min(1).max(200),
  sessionToken: z.string().min(1).max(10_000).optional(),
})
