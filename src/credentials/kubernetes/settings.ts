import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { ApiAddress, isProtected, PLAIN, Reached } from '../issued/address.ts'

/** What `target.settings` holds for `kubernetes-token`: where the cluster's API is, and for whom tokens are. */
export const KubernetesTokenSettings = z
  .strictObject({
    server: ApiAddress.describe('address of the API server, as in a kubeconfig'),
    ...Reached,
    audiences: shown(z.array(z.string().min(1).max(253)).max(8))
      .default([])
      .describe('for whom tokens are good; the API server itself when left out'),
    maxSeconds: shown(z.int().min(600).max(86_400)).default(3600).describe('the longest life of one token'),
  })
  .refine(({ server, plaintext }) => isProtected(server, plaintext), { path: ['server'], message: PLAIN })
  .meta({ id: 'KubernetesTokenSettings', classification: 'public' })
export type KubernetesTokenSettings = z.output<typeof KubernetesTokenSettings>
