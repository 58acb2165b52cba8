import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const Endpoint = z
  .url({ protocol: /^https?$/ })
  .max(300)
  .refine((url) => /^(?:https:\/\/[^/@?#]+|http:\/\/(?:127\.0\.0\.1|localhost)(?::\d+)?)\/?$/.test(url), {
    message: 'write https and the address, without a path; http only of this machine itself',
  })

/** Microsoft Graph, "National cloud deployments": where each is asked, and where it gives tokens; "Azure Resource Manager" endpoints of the same. */
export const CLOUDS = {
  global: ['https://graph.microsoft.com', 'https://login.microsoftonline.com', 'https://management.azure.com'],
  'us-government': [
    'https://graph.microsoft.us',
    'https://login.microsoftonline.us',
    'https://management.usgovcloudapi.net',
  ],
  'us-government-dod': [
    'https://dod-graph.microsoft.us',
    'https://login.microsoftonline.us',
    'https://management.usgovcloudapi.net',
  ],
  china: [
    'https://microsoftgraph.chinacloudapi.cn',
    'https://login.partner.microsoftonline.cn',
    'https://management.chinacloudapi.cn',
  ],
} as const

/** What `source.settings` holds for `entra`: one tenant, by Microsoft Graph. */
export const EntraSourceSettings = z
  .strictObject({
    tenant: shown(z.guid()).describe('the id of the tenant; names of domains can go to somebody else'),
    cloud: shown(z.enum(['global', 'us-government', 'us-government-dod', 'china'])).default('global'),
    graphFrom: shown(Endpoint).optional().describe('instead of that of the cloud'),
    loginFrom: shown(Endpoint).optional().describe('instead of that of the cloud'),
    azureFrom: shown(Endpoint).optional().describe('instead of that of the cloud'),
    azure: shown(z.boolean())
      .default(true)
      .describe('whether roles of Azure itself are read: subscriptions and what is in them'),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of these addresses'),
  })
  .meta({ id: 'EntraSourceSettings', classification: 'public' })
export type EntraSourceSettings = z.output<typeof EntraSourceSettings>

const clientId = z.guid().describe('the id of the application that reads')

/** An application of the tenant with the permissions of the page: by a certificate, best, or by a secret. */
export const EntraSourceCredential = z.union([
  z.strictObject({
    clientId,
    privateKey: z.string().min(1).max(20_000).describe('of the certificate, in PEM'),
    certificate: z.string().min(1).max(20_000).describe('in PEM, as it stands at the application'),
  }),
  z.strictObject({ clientId, clientSecret: z.string().min(1).max(1_000) }),
])
export type EntraSourceCredential = z.output<typeof EntraSourceCredential>
