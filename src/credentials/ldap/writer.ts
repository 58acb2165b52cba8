import type { HandedWriter } from '../issued/handed.ts'
import { lentWriter, refusedWith, STILL_ACCEPTED } from '../issued/lent.ts'
import { Secret } from '../../kernel/secret.ts'
import { LeaseFailure } from '../writer.ts'
import { dnOf } from './names.ts'
import { ldapLoginRotator } from './rotate.ts'
import { LdapSettings } from './settings.ts'

/** The protocol of directories. */
export const LDAP = 'ldap'

/** Lends the login of an entry: those who hold a copy take the new one here. */
export const ldapWriter: HandedWriter = lentWriter({
  kind: 'ldap-login',
  protocol: LDAP,
  aboutOf(site, user) {
    const settings = LdapSettings.parse(site.settings)
    return { url: settings.url, dn: dnOf(settings, user) }
  },
  async probe({ target, settings }, { user, password }, signal) {
    const login = { user, secret: new Secret(password) }
    const tried = await ldapLoginRotator.tryLogin({ target, settings, databases: [] }, login, signal)
    if (tried.isAccepted) return STILL_ACCEPTED
    if (tried.why === 'secret') return refusedWith(tried.code)
    throw new LeaseFailure(`the login is refused (${tried.code}), which says nothing of its secret`)
  },
})
