/** How a certificate is told, wherever it was found: one way for all connectors, so that the same key is the same everywhere. */
import { readCertificate, type CertificateFacts } from '../kernel/x509-read.ts'
import { known, unknown, type NativeId, type Observation } from './observation.ts'

/** Where certificates were found. `id` is of a resource that the same scope tells. */
export type CertificatePlace = {
  readonly id: NativeId
  readonly location: string
  readonly how: 'file' | 'connection'
  readonly facts?: Readonly<Record<string, string | number | boolean | null>>
}

/** The certificates of one place in the order in which they stand there, each with where it is used. One that stands there twice is told once. */
export function tellCertificates(
  found: readonly CertificateFacts[],
  place: CertificatePlace,
  now: Date,
): Observation[] {
  const once = [...new Map(found.map((each) => [each.sha256, each])).values()]
  const latest = new Map<string, CertificateFacts>()
  for (const each of once) {
    const before = latest.get(each.spkiSha256)
    if (!before || each.notBefore >= before.notBefore) latest.set(each.spkiSha256, each)
  }
  const chain = once.map(({ subject }) => subject)
  return once.flatMap((each, at) => {
    // A renewal with the same key goes on as the same credential; an older one that still stands beside it is another.
    const mark = latest.get(each.spkiSha256) === each ? '' : `/${each.sha256.slice(0, 16)}`
    return [credentialOf(each, { place, now, mark, chain, position: at }), referenceOf(each, place, mark)]
  })
}

/** A private key that lies there: its public half at most, never itself. */
export function tellPrivateKey(spkiSha256: string, place: Omit<CertificatePlace, 'how'>): Observation {
  return {
    kind: 'reference',
    id: { kind: 'private-key-use', id: `${place.id.id}#${spkiSha256}` },
    consumer: place.id,
    credential: { alg: 'spki-sha256', value: spkiSha256 },
    how: 'file',
    location: place.location,
    evidence: 'static',
    facts: { holds: 'private key', ...place.facts },
  }
}

type Told = {
  readonly place: CertificatePlace
  readonly now: Date
  readonly mark: string
  readonly chain: readonly string[]
  readonly position: number
}

function credentialOf(it: CertificateFacts, { place, now, mark, chain, position }: Told): Observation {
  const isExpired = it.notAfter !== 'never' && it.notAfter < now
  const degree = it.weaknesses.some((each) => each.degree === 'deprecated') ? 'deprecated' : 'weak'
  return {
    kind: 'credential',
    id: { kind: 'certificate', id: `${it.spkiSha256}@${place.id.id}${mark}` },
    principal: unknown('unsupported'),
    type: 'certificate',
    name: it.subject === '' ? (it.names[0] ?? `serial ${it.serial}`) : it.subject,
    state: known(isExpired ? 'expired' : it.notBefore > now ? 'inactive' : 'active'),
    // When it says that it begins: the only time of making that it holds.
    createdAt: known(it.notBefore),
    rotatedAt: unknown('unsupported'),
    expiresAt: known(it.notAfter),
    fingerprints: known([
      { alg: 'spki-sha256', value: it.spkiSha256 },
      { alg: 'certificate-sha256', value: it.sha256 },
    ]),
    scopes: known([...it.purposes]),
    bindings: known([]),
    strength: known(it.weaknesses.length === 0 ? 'strong' : degree),
    strengthWhy: it.weaknesses.map(({ why }) => why),
    heldBy: unknown('unsupported'),
    facts: {
      subject: it.subject,
      issuer: it.issuer,
      serial: it.serial,
      names: [...it.names],
      notBefore: it.notBefore.toISOString(),
      notAfter: it.notAfter === 'never' ? 'never' : it.notAfter.toISOString(),
      signatureAlgorithm: it.signatureAlgorithm,
      keyType: it.keyType,
      keyBits: it.keyBits ?? null,
      curve: it.curve ?? null,
      isAuthority: it.isAuthority,
      isSelfSigned: it.isSelfSigned,
      chain: [...chain],
      position,
      ...(place.how === 'connection' && place.facts),
    },
  }
}

function referenceOf(it: CertificateFacts, place: CertificatePlace, mark: string): Observation {
  return {
    kind: 'reference',
    id: { kind: 'certificate-use', id: `${place.id.id}#${it.spkiSha256}${mark}` },
    consumer: place.id,
    credential: { alg: 'spki-sha256', value: it.spkiSha256 },
    how: place.how,
    location: place.location,
    evidence: place.how === 'connection' ? 'runtime' : 'static',
    facts: { holds: 'certificate', ...(place.how === 'file' && place.facts) },
  }
}

export type PemBlock = { readonly label: string; readonly text: string }

/** RFC 7468 blocks of a text, in one pass whatever it holds: a beginning without its end is passed over. */
export function* pemBlocks(text: string): Generator<PemBlock, void> {
  const opening = '-----BEGIN '
  let at = text.indexOf(opening)
  while (at >= 0) {
    const labelEnd = text.indexOf('-----', at + opening.length)
    if (labelEnd < 0) return
    const label = text.slice(at + opening.length, labelEnd)
    const next = text.indexOf('-----', labelEnd + 5)
    if (next < 0) return
    const closing = `-----END ${label}-----`
    if (label.length <= 64 && text.startsWith(closing, next)) {
      yield { label, text: text.slice(at, next + closing.length) }
      at = text.indexOf(opening, next + closing.length)
    } else at = text.indexOf(opening, labelEnd + 5)
  }
}

const CERTIFICATE_LABELS = new Set(['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE'])

/** The certificate in a block; `damaged` when it says that it is one and cannot be read, undefined when it is something else. */
export function certificateIn({ label, text }: PemBlock): CertificateFacts | 'damaged' | undefined {
  if (!CERTIFICATE_LABELS.has(label)) return undefined
  const body = text.slice(text.indexOf('\n') + 1, text.lastIndexOf('-----END'))
  return readCertificate(Buffer.from(body, 'base64')) ?? 'damaged'
}
