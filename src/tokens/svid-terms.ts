import { invalid } from '../kernel/invalid.ts'
import { readSpiffeId } from '../kernel/spiffe-id.ts'
import type { CreateTrustRule } from './contract.ts'

/** What a rule says for which a domain is trusted: the domain's own ID stands for the issuer. Throws `invalidInput`. */
export function svidTerms(input: CreateTrustRule): {
  readonly issuer: string
  readonly subject: { readonly is: string }
} {
  const { subject, issuer, keys, keysUrl } = input
  if (keys !== undefined || keysUrl !== undefined) throw invalid('keys', 'they are those of the trust domain’s bundle')
  if (!subject || !('is' in subject)) throw invalid('subject', 'write the whole SPIFFE ID: {"is":"spiffe://…"}')
  const id = readSpiffeId(subject.is)
  if (!id || id.path === '') throw invalid('subject', 'this is no SPIFFE ID of anybody')
  const domain = domainIdOf(id.trustDomain)
  if (issuer !== undefined && issuer !== domain) throw invalid('issuer', `leave it out, or write ${domain}`)
  return { issuer: domain, subject: { is: subject.is } }
}

/** A trust domain by its own ID, as rules name it. */
export function domainIdOf(trustDomain: string): string {
  return `spiffe://${trustDomain}`
}
