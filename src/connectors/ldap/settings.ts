import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const LOOPBACK = /^ldap:\/\/(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost)(?::\d+)?\/?$/

/** What `source.settings` holds for `ldap`: one server of a directory, and which parts of it are read. */
export const LdapSourceSettings = z
  .strictObject({
    url: shown(
      z
        .string()
        .max(300)
        .regex(/^ldaps?:\/\/(?:[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?\/?$/i, 'write ldaps://host or ldap://host'),
    ),
    authorities: shown(z.string().max(100_000)).optional().describe('PEM of the authority of the server'),
    plaintext: shown(z.boolean())
      .default(false)
      .describe('no TLS; only on this machine. Otherwise ldap:// goes over StartTLS or not at all'),
    base: shown(z.string().min(1).max(1000))
      .optional()
      .describe('the naming context; the one that the server names by default otherwise'),
    under: shown(z.array(z.string().min(1).max(1000)).min(1).max(50))
      .optional()
      .describe('entries below which is searched; all of the context otherwise'),
  })
  .refine(({ plaintext, url }) => !plaintext || LOOPBACK.test(url), 'without TLS only this machine can be asked')
  .meta({ id: 'LdapSourceSettings', classification: 'public' })
export type LdapSourceSettings = z.output<typeof LdapSourceSettings>

/** A DN, or for Active Directory a name like `reader@corp.example`. */
export const LdapSourceCredential = z.strictObject({
  user: z.string().min(1).max(1000),
  password: z.string().min(1).max(1000),
})
export type LdapSourceCredential = z.output<typeof LdapSourceCredential>
