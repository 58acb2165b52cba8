import { z } from 'zod'
import { Slug } from '../kernel/ids.ts'

const texts = (most: number) => z.array(z.string().min(1).max(most)).min(1).max(50).optional()

/** RFC 9396 §2, of our one type: what a token is good for asking. All that is given must hold. */
const AccessDetail = z
  .strictObject({
    type: z.literal('urn:reeve:access'),
    purpose: Slug.optional(),
    targets: texts(63),
    accounts: texts(63),
    actions: texts(128),
  })
  .refine(({ type: _type, ...rest }) => Object.values(rest).some((given) => given !== undefined), 'it narrows nothing')
  .meta({ id: 'AccessDetail', classification: 'public' })

/** What a token is narrowed to: each alone is enough. */
export const AccessDetails = z.array(AccessDetail).min(1).max(10).meta({ classification: 'public' })
export type AccessDetails = z.output<typeof AccessDetails>
