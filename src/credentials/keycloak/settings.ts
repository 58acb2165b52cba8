import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { ApiAddress, isProtected, PLAIN, Reached } from '../issued/address.ts'

/** What `target.settings` holds for `keycloak`: one realm, whose clients are the accounts. The provisioner is a client with `manage-clients`. */
export const KeycloakSettings = z
  .strictObject({
    server: ApiAddress.describe('address of Keycloak, without /realms or /admin'),
    ...Reached,
    realm: shown(z.string().regex(/^[A-Za-z0-9_.-]{1,100}$/)),
  })
  .refine(({ server, plaintext }) => isProtected(server, plaintext), { path: ['server'], message: PLAIN })
  .meta({ id: 'KeycloakSettings', classification: 'public' })
export type KeycloakSettings = z.output<typeof KeycloakSettings>
