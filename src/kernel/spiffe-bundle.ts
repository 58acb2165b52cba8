/** Bundles of trust domains as others publish them. https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md §4 */
import { z } from 'zod'
import { pemOf } from './x509.ts'
import { isAuthorityOf, jwkOfCertificate } from './x509-svid.ts'

/** What verifies the documents of one trust domain, and of no other. */
export type SpiffeBundle = {
  /** Certificates in DER. */
  readonly authorities: readonly Buffer[]
  /** Keys of JWT-SVIDs (RFC 7517), each with its name. */
  readonly jwtKeys: readonly JwtKey[]
  readonly sequence: number | undefined
  readonly refreshSeconds: number | undefined
}
type JwtKey = Readonly<Record<string, unknown>> & { readonly kid: string }

const MOST_KEYS = 100
/** RFC 7518: what a JWT-SVID may be signed with (JWT-SVID §2.2); anything private in a bundle is dropped here. */
const PUBLIC_MEMBERS = ['kty', 'crv', 'x', 'y', 'n', 'e', 'kid']
const LONGEST_REFRESH_SECONDS = 86_400 * 7

const Text = z.string().max(8_000)
const BundleText = z.object({
  keys: z
    .array(
      z.looseObject({
        use: Text.optional(),
        kid: Text.optional(),
        kty: Text,
        x5c: z.array(Text.max(90_000)).optional(),
      }),
    )
    .max(MOST_KEYS)
    .nullable(),
  spiffe_sequence: z.int().min(0).optional(),
  spiffe_refresh_hint: z.int().min(0).optional(),
})

/** Reads the bundle of `trustDomain`; undefined for what is none, or holds an authority of another domain. Keys for other uses are left out. */
export function readSpiffeBundle(text: string, trustDomain: string): SpiffeBundle | undefined {
  const read = BundleText.safeParse(parsed(text))
  if (!read.success) return undefined
  const authorities: Buffer[] = []
  const jwtKeys: JwtKey[] = []
  for (const key of read.data.keys ?? []) {
    if (key.use === 'x509-svid') {
      // §4.2.1: exactly one certificate, and no chain.
      const der = key.x5c?.length === 1 ? Buffer.from(key.x5c[0] ?? '', 'base64') : undefined
      if (!der || !isAuthorityOf(der, trustDomain)) return undefined
      authorities.push(der)
    }
    if (key.use === 'jwt-svid') {
      const { kid } = key
      // §4.2.2: without a name it could not be meant.
      if (kid === undefined || kid === '' || !['EC', 'RSA'].includes(key.kty)) return undefined
      const members = PUBLIC_MEMBERS.flatMap((name) => (name in key ? [[name, key[name]] as const] : []))
      jwtKeys.push({ ...Object.fromEntries(members), kid })
    }
  }
  const { spiffe_sequence: sequence, spiffe_refresh_hint: hint } = read.data
  const refreshSeconds = hint === undefined || hint === 0 ? undefined : Math.min(hint, LONGEST_REFRESH_SECONDS)
  return { authorities, jwtKeys, sequence, refreshSeconds }
}

/** A bundle of the same content as text. */
export function spiffeBundleText({ authorities, jwtKeys, sequence, refreshSeconds }: SpiffeBundle): string {
  const keys = [
    ...authorities.map((der) => ({ ...jwkOfCertificate(der), use: 'x509-svid', x5c: [der.toString('base64')] })),
    ...jwtKeys.map((key) => ({ ...key, use: 'jwt-svid' })),
  ]
  return JSON.stringify({
    keys,
    ...(sequence !== undefined && { spiffe_sequence: sequence }),
    ...(refreshSeconds !== undefined && { spiffe_refresh_hint: refreshSeconds }),
  })
}

/** Its authorities as PEM. */
export function authoritiesPem({ authorities }: SpiffeBundle): string {
  return authorities.map(pemOf).join('')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
