import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

// RFC 9700 §2.1.2 and §2.4.
const OUTDATED: Readonly<Record<string, string>> = {
  implicit: 'tokens stand in the address of a page, in its history and in what it refers to',
  password: 'the client sees the passwords of its users, and no second factor is asked for',
}

export const outdatedFlow: Rule<TrustFacts> = {
  id: 'outdated-flow',
  owasp: 'NHI4:2025',
  title: 'A client may get tokens by a flow that is given up',
  why: 'What it lets through the client’s hands, a password or a token in an address, is had by whoever sees over its shoulder.',
  needs: 'the flows of the client',
  fix: 'Use the authorization code with PKCE for people and client credentials for programs, then switch the flow off.',
  control: 'A policy of the provider refuses both flows for every client.',
  judge({ nativeKind, method, widens, where, isPresent, isWhole, isBuiltIn, readAt }) {
    if (nativeKind !== 'oidc-flow') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (method === null) return unknown('which flow it is was not seen')
    const why = OUTDATED[method]
    if (why === undefined) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    const isPublic = widens.includes('public')
    return found(isBuiltIn ? 'low' : isPublic ? 'high' : 'medium', readAt, [
      `${where ?? 'a client'} has the ${method} flow on`,
      why,
      ...(isPublic ? ['it has no secret: whoever names it may use it'] : []),
      ...(isBuiltIn ? ['it came with the provider'] : []),
    ])
  },
}
