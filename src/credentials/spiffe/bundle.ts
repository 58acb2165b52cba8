import type { Db } from '../../kernel/db.ts'
import { jwkOfSpki, jwkThumbprint } from '../../kernel/signing-key.ts'
import { signingKey, type SpiffeNeeds } from './authority.ts'

/** How often whoever follows the bundle should ask (SPIFFE Trust Domain and Bundle §4.1.3): often enough to know a key before it signs. */
const REFRESH_SECONDS = 300

/** The certificates that verifiers of X509-SVIDs trust, the one that signs first. */
export async function trustAnchors(db: Db): Promise<Buffer[]> {
  const rows = await published(db)
  return rows.flatMap(({ certificate }) => (certificate ? [certificate] : []))
}

/** The bundle as JSON (SPIFFE Trust Domain and Bundle §4): a JWK set that says what each key is for. */
export async function bundleText(db: Db, needs: SpiffeNeeds): Promise<string> {
  await signingKey(db, needs, 'x509')
  const rows = await published(db)
  const keys = rows.map(({ publicKey, certificate }) => {
    const jwk = jwkOfSpki(publicKey)
    return certificate
      ? { ...jwk, use: 'x509-svid', x5c: [certificate.toString('base64')] }
      : { ...jwk, use: 'jwt-svid', kid: jwkThumbprint(jwk).toString('base64url') }
  })
  // Entries only grow, and each change of a key is one.
  const sequence = rows.reduce((last, { cause }) => Math.max(last, cause), 0)
  return JSON.stringify({ keys, spiffe_sequence: sequence, spiffe_refresh_hint: REFRESH_SECONDS })
}

function published(db: Db) {
  return db
    .selectFrom('spiffeAuthority')
    .select(['publicKey', 'certificate', 'state', 'cause'])
    .where('state', 'in', ['signing', 'next', 'trusted'])
    .orderBy('state', 'desc')
    .orderBy('id')
    .execute()
}
