import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule, type Severity } from '../rule.ts'

const SAYS: Readonly<Record<string, string>> = {
  'any-address': 'every address is taken',
  'any-host': 'every host that begins so is taken, one that a stranger registers among them',
  'any-path': 'every path below it is taken',
  plaintext: 'its answers go over a line that others hear',
  'no-pkce': 'the client has no secret and is not asked for PKCE',
}

export const wildcardRedirect: Rule<TrustFacts> = {
  id: 'wildcard-redirect',
  owasp: 'NHI4:2025',
  title: 'A client takes answers at more addresses than its own',
  why: 'Whoever gets one page below such an address, or the whole of it, is sent the logins of the client’s users.',
  needs: 'the redirects of the client',
  fix: 'Name each address of the client whole, over https, and ask for PKCE with S256.',
  control: 'Clients are registered from a form without `*`, and a policy of the provider refuses it (RFC 9700 §2.1).',
  judge({ nativeKind, widens, where, issuer, isPresent, isWhole, readAt, isBuiltIn }) {
    if (nativeKind !== 'oidc-redirect') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (!widens.some((each) => each !== 'no-pkce') || isBuiltIn) {
      return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    }
    return found(severityOf(widens), readAt, [
      `${where ?? 'a client'} takes ${issuer ?? 'what was not seen'}`,
      ...widens.flatMap((each) => SAYS[each] ?? []),
    ])
  },
}

function severityOf(widens: readonly string[]): Severity {
  if (widens.includes('any-address') || widens.includes('any-host')) return 'critical'
  if (widens.includes('plaintext')) return 'high'
  return widens.includes('no-pkce') ? 'medium' : 'low'
}
