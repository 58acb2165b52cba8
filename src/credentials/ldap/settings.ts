import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { isProtected, PLAIN, Reached } from '../issued/address.ts'

const Dn = shown(z.string().min(3).max(1_000))

/** What `target.settings` holds for `ldap`: where accounts are, how they are named, and in which groups their rights are. The provisioner is a DN. */
export const LdapSettings = z
  .strictObject({
    url: shown(
      z
        .string()
        .max(300)
        .regex(/^ldaps?:\/\/(?:[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?\/?$/i, 'write ldaps://host or ldap://host'),
    ).describe('ldap:// goes over StartTLS or not at all'),
    ...Reached,
    accountsUnder: Dn.describe('the entry right below which the accounts are'),
    naming: shown(z.enum(['uid', 'cn'])).describe('what an account is named by there'),
    groupsUnder: Dn.describe('the entry below which their groups are'),
  })
  .refine(
    ({ url, plaintext }) =>
      isProtected(url.replace(/^ldap/i, plaintext ? 'http' : 'https').replace(/^httpss/, 'https'), plaintext),
    {
      path: ['url'],
      message: PLAIN,
    },
  )
  .meta({ id: 'LdapSettings', classification: 'public' })
export type LdapSettings = z.output<typeof LdapSettings>
