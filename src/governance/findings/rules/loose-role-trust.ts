import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

/** What only those inside, or the one partner that was meant, can show (IAM User Guide, "The confused deputy problem"). */
const NARROWS = ['sts:ExternalId', 'aws:PrincipalOrgID', 'aws:PrincipalOrgPaths']

export const looseRoleTrust: Rule<TrustFacts> = {
  id: 'loose-role-trust',
  owasp: 'NHI6:2025',
  title: 'A role may be assumed from outside by more than who was meant',
  why: 'Everybody, or whoever gets a partner to ask for them, acts as the role with all that it may.',
  needs: 'the trust policies of roles',
  fix: 'Name the account and the role of the partner, and ask for an external id that was made for this one relation.',
  control: 'Roles for partners are made from a form with the external id in it; the organisation denies trust of `*`.',
  judge({ nativeKind, issuer, method, claims, isWildcard, where, isPresent, isWhole, readAt }) {
    if (nativeKind !== 'foreign-trust' || issuer === null) return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    const isEverybody = issuer === '*'
    if (claims.some((claim) => NARROWS.includes(claim))) {
      return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    }
    const isConditional = method === 'conditional'
    const outside = isEverybody ? 'everybody who has an account of AWS' : issuer
    return found(
      isEverybody && !isConditional ? 'critical' : isEverybody ? 'high' : 'medium',
      readAt,
      [
        `it believes ${outside}`,
        ...(isWildcard && !isEverybody ? ['all of that account'] : []),
        isConditional
          ? 'under conditions, none of which is an external id or the organisation'
          : 'without any condition',
        ...(where === null ? [] : [where]),
      ],
      isEverybody ? [] : ['whether that account is of the same organisation is not seen'],
    )
  },
}
