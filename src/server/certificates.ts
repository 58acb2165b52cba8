import type { accessRoutes } from '../access/access.ts'
import type { CertifyToken } from '../identities/identities.ts'
import type { Authority } from '../kernel/ca.ts'
import { readPublicKey } from '../kernel/crypto.ts'
import type { Ground } from './ground.ts'

/** Certifies the key of a run until its grant ends. */
export function certifier(authority: Authority, { clock }: Ground): Parameters<typeof accessRoutes>[0]['certify'] {
  return async ({ spki, subjectName, expiresAt }) => {
    const ttlSeconds = Math.max(1, Math.ceil((expiresAt.getTime() - clock.now().getTime()) / 1000))
    const { cert } = await authority.issueClient({ spki, commonName: subjectName, ttlSeconds })
    return { certificate: cert, authority: authority.certificate }
  }
}

/** Certifies the key that a token is bound to until the token ends. */
export function tokenCertifier(authority: Authority, { clock }: Ground): CertifyToken {
  return async (publicKey, { identityId, expiresAt }) => {
    const spki = readPublicKey(publicKey)?.spki
    if (!spki) throw new Error('a token was bound to a key that is none')
    const ttlSeconds = Math.ceil((expiresAt.getTime() - clock.now().getTime()) / 1000)
    return (await authority.issueClient({ spki, commonName: identityId, ttlSeconds })).cert
  }
}
