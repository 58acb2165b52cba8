import { sha256 } from '../kernel/crypto.ts'
import type { FormAsked } from '../kernel/http/form.ts'
import { spkiSha256 } from '../kernel/key-pair.ts'
import { verifyDpop } from './dpop.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import type { OnceOnly } from './used-proofs.ts'

/** The key a request was made with: by a DPoP proof, or in its TLS handshake. */
export type Binding =
  | { readonly kind: 'dpop'; readonly keySha256: Buffer; readonly once: OnceOnly }
  | { readonly kind: 'mtls'; readonly keySha256: Buffer; readonly certificateSha256: Buffer }

/** What a token issued now would be bound to. A DPoP proof goes before a certificate that happens to be there. Throws `OAuthError`. */
export async function bindingOf(needs: TokenNeeds, asked: FormAsked, path: string): Promise<Binding | undefined> {
  const { dpop, presented } = asked
  if (dpop) {
    const urls = [dpop.url, `${needs.issuer()}${path}`]
    const proven = await verifyDpop(needs.clock, { proof: dpop.proof, method: dpop.method, urls })
    if (!proven) throw new OAuthError('invalid_dpop_proof', 'The DPoP proof is not one for this request.')
    return { kind: 'dpop', ...proven }
  }
  const { keyCertificate } = presented
  if (!keyCertificate) return undefined
  return {
    kind: 'mtls',
    keySha256: Buffer.from(spkiSha256(keyCertificate), 'hex'),
    certificateSha256: sha256(keyCertificate),
  }
}

/** RFC 7800 §3.1, RFC 8705 §3.1, RFC 9449 §6.1. */
export function confirmationOf(binding: Binding | undefined): Readonly<Record<string, string>> | undefined {
  if (!binding) return undefined
  return binding.kind === 'dpop'
    ? { jkt: binding.keySha256.toString('base64url') }
    : { 'x5t#S256': binding.certificateSha256.toString('base64url') }
}
