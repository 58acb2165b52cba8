import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule, type Severity } from '../rule.ts'

const SAYS: Readonly<Record<string, string>> = {
  'service-account': 'a service account is on for it',
  'token-exchange': 'it may exchange tokens of others for its own',
  administers: 'its tokens may show roles that administer the realm',
  'full-scope': 'its tokens show every role of whoever logs in',
  password: 'it may send passwords',
  device: 'whoever is talked into confirming a code gives it a token',
  implicit: 'it gets tokens in addresses',
}
/** By these a token comes without a page of the client’s own. */
const WITHOUT_A_PAGE = ['password', 'device', 'implicit']

export const publicClientPowers: Rule<TrustFacts> = {
  id: 'public-client-powers',
  owasp: 'NHI5:2025',
  title: 'A client that proves nothing has powers of one that does',
  why: 'Its name is all it takes to be it: whoever has a token by that name has everything that the token shows.',
  needs: 'the settings of the client, and the roles within its scope',
  fix: 'Switch off what the page does not need, name the roles of its scope, and make a confidential client for the rest.',
  control: 'Public clients have the authorization code with PKCE, a narrow scope, and nothing else.',
  judge({ nativeKind, widens, where, isPresent, isWhole, isBuiltIn, readAt }) {
    if (nativeKind !== 'oidc-public-client') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    const severity = severityOf(widens)
    if (severity === undefined) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    return found(isBuiltIn ? 'low' : severity, readAt, [
      `${where ?? 'a client'} has no secret`,
      ...widens.flatMap((each) => SAYS[each] ?? []),
      ...(isBuiltIn ? ['it came with the provider'] : []),
    ])
  },
}

function severityOf(widens: readonly string[]): Severity | undefined {
  if (widens.includes('service-account') || widens.includes('token-exchange')) return 'high'
  const isEasy = WITHOUT_A_PAGE.some((each) => widens.includes(each))
  if (widens.includes('administers')) return isEasy ? 'high' : 'medium'
  if (!widens.includes('full-scope')) return undefined
  return isEasy ? 'high' : 'low'
}
