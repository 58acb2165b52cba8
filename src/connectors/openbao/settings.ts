import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const Url = z
  .url({ protocol: /^https?$/ })
  .max(300)
  .refine((url) => /^https?:\/\/[^/@?#]+\/?$/.test(url), 'write the address of the server, without a path')

/** What `source.settings` holds for `openbao`: one server or cluster, and which namespace of it. */
export const OpenBaoSourceSettings = z
  .strictObject({
    url: shown(Url),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the server'),
    namespace: shown(
      z
        .string()
        .max(300)
        .regex(/^[\w-]+(\/[\w-]+)*\/?$/, 'name a namespace'),
    )
      .optional()
      .describe('the one that is read; the root otherwise'),
    auditLog: shown(z.string().max(1000).regex(/^\//, 'name it from the root on'))
      .optional()
      .describe('a file of an audit device, in JSON, that the node can read'),
    auditSeesAll: shown(z.boolean())
      .default(false)
      .describe('whether this file has every request of the server; only then is the want of use proven'),
  })
  .meta({ id: 'OpenBaoSourceSettings', classification: 'public' })
export type OpenBaoSourceSettings = z.output<typeof OpenBaoSourceSettings>

/** A token, best one whose policy reads what the page says and nothing else. */
export const OpenBaoSourceCredential = z.strictObject({ token: z.string().min(1).max(10_000) })
