/** Identity documents of trust domains (SPIFFE) as a proof: a rule names one whole SPIFFE ID, and the domain's own bundle verifies it. */
import { readSpiffeId } from '../kernel/spiffe-id.ts'
import { svidIdOf, verifySvid } from '../kernel/x509-svid.ts'
import type { TrustRule } from './contract.ts'
import { headerOf } from './jwt.ts'
import type { Claims } from './issuer-keys.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { domainIdOf } from './svid-terms.ts'
import type { KnownRule } from './known-rules.ts'

/** Whose token it may be: of the trust domain that its subject is in, for JWT-SVIDs need no `iss` (JWT-SVID §3). */
export function svidDomainOf(claims: Claims): string | undefined {
  const subject = claims['sub']
  const id = typeof subject === 'string' ? readSpiffeId(subject) : undefined
  return id && id.path !== '' ? domainIdOf(id.trustDomain) : undefined
}

/** The keys that verify JWT-SVIDs under a rule, as they are now. Throws `OAuthError`. */
export async function svidKeys(needs: TokenNeeds, rule: TrustRule, token: string) {
  const { typ } = headerOf(token) ?? {}
  // JWT-SVID §2.3.
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') throw unbelieved()
  const bundle = await bundleOf(needs, rule)
  return { keys: bundle?.jwtKeys ?? [] }
}

/** The rule under which an X509-SVID that was shown in the handshake proves who they say they are. */
export async function ruleOfSvid(
  needs: TokenNeeds,
  certificate: Uint8Array,
  identity: string,
): Promise<{ readonly rule: KnownRule; readonly endsAt: Date } | undefined> {
  const id = svidIdOf(certificate)
  const domain = id === undefined ? undefined : readSpiffeId(id)?.trustDomain
  if (id === undefined || domain === undefined) return undefined
  const [rule] = await needs.rules.fitting(
    domainIdOf(domain),
    (rule) =>
      rule.preset === 'spiffe' &&
      'is' in rule.subject &&
      rule.subject.is === id &&
      (rule.identity === identity || rule.identityId === identity),
  )
  const bundle = rule && (await bundleOf(needs, rule))
  const proven = bundle && verifySvid(certificate, bundle.authorities, needs.clock.now())
  return rule && proven?.id === id ? { rule, endsAt: proven.endsAt } : undefined
}

function bundleOf(needs: TokenNeeds, { issuer }: TrustRule) {
  const domain = readSpiffeId(issuer)?.trustDomain
  return domain === undefined ? undefined : needs.bundleOf(domain)
}

function unbelieved(): OAuthError {
  return new OAuthError('invalid_grant', 'The token does not prove an identity here.')
}
