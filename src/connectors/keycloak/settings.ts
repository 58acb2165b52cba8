import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const Url = z
  .url({ protocol: /^https?$/ })
  .max(300)
  .refine(
    (url) => !/[?#@]/.test(url),
    'write the address of the server, and the path below which it is served if there is one',
  )
const Realm = z
  .string()
  .min(1)
  .max(200)
  .regex(/^(?!\.{1,2}$)[^/\\?#%]+$/, 'name a realm')

/** What `source.settings` holds for `keycloak`: one realm of one server. */
export const KeycloakSourceSettings = z
  .strictObject({
    url: shown(Url),
    realm: shown(Realm).describe('the realm that is read'),
    loginRealm: shown(Realm).optional().describe('the realm of the client that reads, where it is another: master'),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the server'),
    eventsSeeAll: shown(z.boolean())
      .default(false)
      .describe('whether events were on all the time; only then is the want of use proven'),
  })
  .meta({ id: 'KeycloakSourceSettings', classification: 'public' })
export type KeycloakSourceSettings = z.output<typeof KeycloakSourceSettings>

/** A confidential client whose service account holds the `view-…` roles of the page and nothing else. */
export const KeycloakSourceCredential = z.strictObject({
  clientId: z.string().min(1).max(300),
  clientSecret: z.string().min(1).max(10_000),
})
export type KeycloakSourceCredential = z.output<typeof KeycloakSourceCredential>
