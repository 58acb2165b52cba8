import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const Url = z
  .url({ protocol: /^https?$/ })
  .max(300)
  .refine((url) => /^https?:\/\/[^/@?#]+\/?$/.test(url), 'write the address of the API server, without a path')

/** RFC 1123, as Kubernetes has names of namespaces. */
const Namespace = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'name a namespace')

/** What `source.settings` holds for `kubernetes`: one API server, and what of it is read. */
export const KubernetesSourceSettings = z
  .strictObject({
    url: shown(Url),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the API server'),
    namespaces: shown(z.array(Namespace).min(1).max(200))
      .optional()
      .describe('for a login that may read these only; all otherwise'),
    auditLog: shown(z.string().max(1000).regex(/^\//, 'name it from the root on'))
      .optional()
      .describe('a file of audit events, one a line, that the node can read'),
    auditDeliveredBy: shown(z.uuid())
      .optional()
      .describe('id of the identity as which the API server posts its audit events here; instead of a file'),
    auditSeesAll: shown(z.boolean())
      .default(false)
      .describe('whether the audit policy has every request at Metadata or above; only then is the want of use proven'),
  })
  .refine(({ auditLog, auditDeliveredBy }) => auditLog === undefined || auditDeliveredBy === undefined, {
    path: ['auditDeliveredBy'],
    message: 'events come by a file or are posted: both would count each twice',
  })
  .meta({ id: 'KubernetesSourceSettings', classification: 'public' })
export type KubernetesSourceSettings = z.output<typeof KubernetesSourceSettings>

/** A bearer token, best of a service account that may list and nothing else. */
export const KubernetesSourceCredential = z.strictObject({ token: z.string().min(1).max(10_000) })
