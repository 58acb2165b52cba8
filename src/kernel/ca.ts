/**
 * The installation's own certificate authority: issues the listeners' certificates and the short-lived client certificates of single runs.
 * A certificate proves a key and nothing else; the grant row is the authority, so there is no revocation list.
 */
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { secondsAfter, type Clock } from './clock.ts'
import type { Random } from './random.ts'
import { Secret } from './secret.ts'
import { jwkOfSpki, jwkThumbprint, spkiOfJwk, type SigningKey } from './signing-key.ts'
import { sealedKeys, type SigningKeys } from './signing-keys.ts'
import { every } from './timer.ts'
import { p256Spki, signCertificate, type CertificateUse } from './x509.ts'

export type ServerCertificate = { readonly key: Secret; readonly cert: string; readonly expiresAt: Date }
type ClientCertificate = { readonly cert: string; readonly expiresAt: Date }

export type Authority = {
  /** PEM of the CA, for clients to trust. */
  readonly certificate: string
  readonly certificateFile: string
  /** A new key with a certificate for these names and addresses; the first is the subject. */
  issueServer(names: readonly string[]): Promise<ServerCertificate>
  /** A certificate for somebody's own P-256 key; rejects for any other kind of key. */
  issueClient(terms: { spki: Uint8Array; commonName: string; ttlSeconds: number }): Promise<ClientCertificate>
}

type Needs = {
  readonly clock: Clock
  readonly random: Random
  /** Where its key is made, and held if it is held elsewhere; here if left out. */
  readonly keys?: SigningKeys
}
type Material = { readonly key: SigningKey; readonly certificate: string }

const CA_FILE = 'ca.pem'
const KEY_FILE = 'ca.key'
const DAY = 86_400
const CA_SECONDS = 3650 * DAY
const SERVER_SECONDS = 90 * DAY
/** A server certificate is renewed when a third of its life is left. */
const RENEW_BEFORE_SECONDS = 30 * DAY
const RENEW_CHECK_MS = 3_600_000
/** Clocks of clients may be behind ours by this much. */
const SKEW_SECONDS = 300
/** X.520: a common name has at most 64 characters. */
const LONGEST_NAME = 64

/** Opens the authority in `folder`, making it (0700, key 0600) when there is none. Two processes that start at once get the same one. */
export async function openAuthority(folder: string, needs: Needs): Promise<Authority> {
  const found = (await load(folder, needs)) ?? (await create(folder, needs))
  const own = new X509Certificate(found.certificate)
  if (own.validToDate <= needs.clock.now()) {
    throw new Error(`the certificate authority in ${folder} has expired: move the folder away and start again`)
  }
  const issuerSpki = spkiOfJwk(found.key.publicJwk)
  const issuer = commonNameOf(own)
  const issue = async (subject: string, spki: Buffer, ttlSeconds: number, use: CertificateUse) => {
    if (subject.length === 0 || subject.length > LONGEST_NAME) throw new Error('a common name has 1 to 64 characters')
    const now = needs.clock.now()
    const wanted = secondsAfter(now, ttlSeconds)
    const expiresAt = wanted < own.validToDate ? wanted : own.validToDate
    const notBefore = secondsAfter(now, -SKEW_SECONDS)
    const cert = await signCertificate(
      { serial: serialFrom(needs.random), issuer, subject, notBefore, notAfter: expiresAt, spki, use },
      found.key,
    )
    return { cert, expiresAt }
  }
  return {
    certificate: found.certificate,
    certificateFile: join(folder, CA_FILE),
    async issueServer(names) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const spki = publicKey.export({ format: 'der', type: 'spki' })
      const subject = (names[0] ?? '').slice(0, LONGEST_NAME)
      const issued = await issue(subject, spki, SERVER_SECONDS, { kind: 'server', names, issuerSpki })
      return { ...issued, key: new Secret(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()) }
    },
    issueClient: async ({ spki, commonName, ttlSeconds }) =>
      issue(commonName, p256Spki(spki), ttlSeconds, { kind: 'client', issuerSpki }),
  }
}

/** A server certificate that is renewed while it lives; `onRenewed` gets each later one, `onFailed` why there is none yet. */
export async function keepServerCertificate(
  authority: Authority,
  { names, clock }: { readonly names: readonly string[]; readonly clock: Clock },
  onRenewed: (certificate: ServerCertificate) => void,
  onFailed: (error: unknown) => void,
): Promise<Disposable & { readonly first: ServerCertificate }> {
  const first = await authority.issueServer(names)
  let current = first
  const timer = every(RENEW_CHECK_MS, () => {
    if (secondsAfter(clock.now(), RENEW_BEFORE_SECONDS) < current.expiresAt) return
    authority.issueServer(names).then((renewed) => {
      current = renewed
      onRenewed(renewed)
    }, onFailed)
  })
  return { first, [Symbol.dispose]: () => timer[Symbol.dispose]() }
}

async function load(folder: string, { keys = sealedKeys }: Needs): Promise<Material | undefined> {
  const keyFile = join(folder, KEY_FILE)
  try {
    const [text, certificate] = await Promise.all([readFile(keyFile, 'utf8'), readFile(join(folder, CA_FILE), 'utf8')])
    if ((await stat(keyFile)).mode & 0o077) throw new Error(`others may read ${keyFile}: run chmod 600 on it`)
    const spki = new X509Certificate(certificate).publicKey.export({ format: 'der', type: 'spki' })
    const published = jwkOfSpki(spki)
    const key = await keys.open(keptOf(text), published)
    if (jwkThumbprint(published).toString('base64url') !== key.kid)
      throw new Error(`the key and the certificate in ${folder} do not belong together`)
    return { key, certificate }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT' && !(await exists(folder)))
      return undefined
    throw error
  }
}

/** The file holds the key itself, or who holds it. */
function keptOf(text: string): Secret<Buffer> {
  if (!text.startsWith('-----BEGIN')) return new Secret(Buffer.from(text.trim(), 'utf8'))
  return new Secret(createPrivateKey(text).export({ format: 'der', type: 'pkcs8' }))
}

/** The folder appears whole or not at all; whoever is second takes the first one's. */
async function create(folder: string, needs: Needs): Promise<Material> {
  const { clock, random, keys = sealedKeys } = needs
  const subject = `Reeve CA ${random.bytes(4).toString('hex')}`
  const { kept, key } = await keys.make('ES256', subject)
  const now = clock.now()
  const validity = { notBefore: secondsAfter(now, -SKEW_SECONDS), notAfter: secondsAfter(now, CA_SECONDS) }
  const spki = spkiOfJwk(key.publicJwk)
  const terms = { serial: serialFrom(random), issuer: subject, subject, ...validity, spki }
  const certificate = await signCertificate({ ...terms, use: { kind: 'authority' } }, key)
  await mkdir(dirname(folder), { recursive: true, mode: 0o700 })
  const made = await mkdtemp(`${folder}.`)
  await writeFile(join(made, KEY_FILE), fileOf(keys, kept), { mode: 0o600 })
  await writeFile(join(made, CA_FILE), certificate, { mode: 0o644 })
  try {
    await rename(made, folder)
    return { key, certificate }
  } catch (error) {
    await rm(made, { recursive: true })
    await keys.discard(kept)
    const theirs = await load(folder, needs)
    if (!theirs) throw error
    return theirs
  }
}

function fileOf({ place }: SigningKeys, kept: Secret<Buffer>): string {
  if (place !== 'sealed') return `${kept.reveal().toString('utf8')}\n`
  const key = createPrivateKey({ key: kept.reveal(), format: 'der', type: 'pkcs8' })
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** RFC 5280 §4.1.2.2: positive, at most 20 bytes; the CA/Browser Forum asks for 64 unpredictable bits, here are 126. */
function serialFrom(random: Random): Buffer {
  const serial = Buffer.from(random.bytes(16))
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return serial
}

function commonNameOf(certificate: X509Certificate): string {
  return /^CN=(.+)$/m.exec(certificate.subject)?.[1] ?? ''
}
