import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule, type Severity } from '../rule.ts'

const SAYS: Readonly<Record<string, readonly [Severity, string]>> = {
  plaintext: ['critical', 'it is asked without TLS'],
  unsigned: ['high', 'what it signs is not checked'],
  'unsigned-assertions': ['high', 'its assertions need no signature'],
  'unsigned-exchange': ['high', 'tokens of it are exchanged without a check of their signature'],
  'no-issuer': ['medium', 'its tokens may name any issuer'],
  'gives-role': ['medium', 'whoever comes by it is given roles'],
  'no-pkce': ['low', 'it is asked without PKCE'],
  'believes-addresses': ['low', 'its word on addresses of mail is believed'],
}
const ORDER: readonly Severity[] = ['critical', 'high', 'medium', 'low']

export const looseProvider: Rule<TrustFacts> = {
  id: 'loose-provider',
  owasp: 'NHI6:2025',
  title: 'A realm believes an identity provider further than it can know',
  why: 'Whoever stands on the line, or makes a token that nobody checks, comes in as any of its users.',
  needs: 'the identity providers of the realm with their settings',
  fix: 'Ask it over https, validate signatures against its keys, name its issuer, and take away what it gives to everybody.',
  control: 'Identity providers are added under review, from a form that has all of this on.',
  judge({ nativeKind, widens, where, issuer, isPresent, isWhole, readAt }) {
    if (nativeKind !== 'oidc-provider') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    const said = widens.flatMap((each) => (SAYS[each] ? [SAYS[each]] : []))
    const severity = ORDER.find((each) => said.some(([of]) => of === each))
    if (severity === undefined) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    return found(severity, readAt, [
      `${where ?? 'a provider'}: ${issuer ?? 'what was not seen'}`,
      ...said.map(([, text]) => text),
    ])
  },
}
