import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const looseFederation: Rule<TrustFacts> = {
  id: 'loose-federation',
  owasp: 'NHI6:2025',
  title: 'A system believes an issuer of more than one named subject',
  why: 'Whoever can get a token of that issuer, with a repository of their own for example, is let in as well.',
  needs: 'the rules of trust of the system with the claims that they ask for',
  fix: 'Ask for `aud` and for the whole `sub`: repository, branch and environment.',
  control: 'Rules of trust are made from a form that has the subject in it, and are reviewed.',
  judge({ issuer, nativeKind, claims, isWildcard, where, isPresent, isWhole, readAt }) {
    // Actions of pipelines, and redirects and providers of a realm, have rules of their own.
    if (issuer === null || !/^https?:\/\//.test(issuer) || /^(?:pipeline|oidc)-/.test(nativeKind)) return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    const evidence = [
      ...(isWildcard ? ['its condition lets in more than one named subject'] : []),
      ...(claims.includes('sub') ? [] : ['it asks for no `sub`']),
      ...(claims.includes('aud') ? [] : ['it asks for no `aud`']),
      ...(issuer.startsWith('http://') ? ['its issuer is asked without TLS'] : []),
    ]
    if (evidence.length === 0) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    // Who has to show a repository or the like is not just anybody.
    const isAnybodys = isWildcard || claims.every((claim) => claim === 'aud')
    return found(isAnybodys ? 'high' : 'medium', readAt, [
      `it believes ${issuer}`,
      ...evidence,
      ...(where === null ? [] : [where]),
    ])
  },
}
