import { realpath } from 'node:fs/promises'
import { Secret } from '../../kernel/secret.ts'
import { publicHashOf, readCertificate, type CertificateFacts } from '../../kernel/x509-read.ts'
import {
  certificateIn,
  Denied,
  filesUnder,
  isDenied,
  pathText,
  readInside,
  pemBlocks,
  tellCertificates,
  tellPrivateKey,
  unknown,
  Unreadable,
  type Entry,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Walked,
} from '../connector.ts'

/** No file of certificates is near this; the list of every public authority has a quarter of it. */
const FILE_BYTES = 1_048_576
const PAGE_OBSERVATIONS = 1_000
/** A list of every public authority there is has a tenth of it. */
const CERTIFICATES_MAX = 2_000
const NAMED = /\.(pem|crt|cer|cert|der|key|p8|pk8|p7b|p7c|p12|pfx|jks|keystore|bundle|chain)$/i

export const FOLDER_MISSING: Missing = {
  what: 'the certificates in this folder',
  why: 'the account that this node runs under may not read it',
  permission: 'reading and searching the folder, for the account of the node',
}

/** The folder without links on the way to it. Throws `Denied` or `Unreadable`. */
export async function rootOf(folder: string): Promise<Buffer> {
  try {
    return await realpath(Buffer.from(folder, 'utf8'), 'buffer')
  } catch (error) {
    if (isDenied(error)) throw new Denied(FOLDER_MISSING, { cause: error })
    throw new Unreadable('the folder is not there', { cause: error })
  }
}

type Tally = Walked & { closed: number; damaged: number; large: number; stores: number; cut: number; locked: number }

/** Every certificate and every private key in the files of a folder. */
export async function* readFiles(folder: string, now: Date, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const root = await rootOf(folder)
  const tally: Tally = {
    unreadable: 0,
    links: 0,
    isCut: false,
    denied: 0,
    lost: 0,
    closed: 0,
    damaged: 0,
    large: 0,
    stores: 0,
    cut: 0,
    locked: 0,
  }
  let page: Observation[] = []
  let files = 0
  for await (const entry of filesUnder(root, tally, signal)) {
    files += 1
    const told = await tellFile(root, entry, tally, now)
    for (const observation of told) {
      page.push(observation)
      if (page.length < PAGE_OBSERVATIONS) continue
      yield { observations: page }
      page = []
    }
  }
  if (files === 0 && tally.denied > 0) throw new Denied(FOLDER_MISSING)
  if (page.length > 0) yield { observations: page }
  const dark = darkOf(tally)
  return { status: dark.length > 0 ? 'partial' : 'complete', missing: [...dark, ...closedOf(tally)] }
}

/** What could hold certificates that were not seen: nothing may be taken for gone. */
function darkOf(tally: Tally): Missing[] {
  const permission = 'reading it, for the account of the node'
  const parts: (Missing & { count: number })[] = [
    { count: tally.denied, what: 'folders', why: 'the account of the node may not list them', permission },
    { count: tally.closed, what: 'files', why: 'the account of the node may not read them', permission },
    { count: tally.lost, what: 'files', why: 'they are there, and looking at them failed', permission },
    { count: tally.unreadable, what: 'folders', why: 'listing them failed' },
    { count: tally.large, what: 'files named as certificates are', why: 'they are larger than a megabyte' },
    { count: tally.cut, what: 'files', why: `they hold more than ${CERTIFICATES_MAX} certificates` },
    { count: tally.isCut ? 1 : 0, what: 'part of the folder', why: 'it is deeper or larger than what is read' },
  ]
  return told(parts)
}

/** What is known to be there and stays closed. */
function closedOf(tally: Tally): Missing[] {
  return told([
    { count: tally.stores, what: 'key stores (PKCS #12, JKS, PKCS #7)', why: 'what they hold is not read' },
    {
      count: tally.locked,
      what: 'private keys',
      why: 'they are encrypted, so which certificate is theirs is not known',
    },
    { count: tally.damaged, what: 'certificates', why: 'they are damaged' },
    { count: tally.links, what: 'links', why: 'they lead out of the folder and are not followed' },
  ])
}

function told(parts: readonly (Missing & { readonly count: number })[]): Missing[] {
  return parts
    .filter(({ count }) => count > 0)
    .map(({ count, what, ...rest }) => ({ ...rest, what: `${count} ${what}` }))
}

type Held = {
  readonly certificates: readonly CertificateFacts[]
  /** Public hashes of private keys that could be read. */
  readonly keys: readonly string[]
  readonly lockedKeys: number
  readonly store: string | undefined
  readonly damaged: number
}

async function tellFile(root: Buffer, entry: Entry, tally: Tally, now: Date): Promise<Observation[]> {
  const name = pathText(entry.path)
  if (entry.sizeBytes > FILE_BYTES) {
    if (NAMED.test(name)) tally.large += 1
    return []
  }
  let bytes: Buffer | undefined
  try {
    bytes = await readInside(root, entry, FILE_BYTES)
  } catch (error) {
    if (isDenied(error)) tally.closed += 1
    else tally.lost += 1
    return []
  }
  if (!bytes) return []
  const held = heldIn(bytes, name)
  // A private key that was read stays no longer than it takes.
  bytes.fill(0)
  if (held.certificates.length > CERTIFICATES_MAX) tally.cut += 1
  tally.damaged += held.damaged
  tally.locked += held.lockedKeys
  tally.stores += held.store === undefined ? 0 : 1
  return observationsOf(entry, name, held, now)
}

function observationsOf(entry: Entry, name: string, held: Held, now: Date): Observation[] {
  const certificates = held.certificates.slice(0, CERTIFICATES_MAX)
  const keys = held.keys.length + held.lockedKeys
  if (certificates.length === 0 && keys === 0 && held.store === undefined && held.damaged === 0) return []
  const id: NativeId = { kind: 'file', id: name }
  const facts = {
    mode: entry.mode.toString(8).padStart(4, '0'),
    ownerUid: entry.uid,
    othersMayRead: (entry.mode & 0o004) !== 0,
    groupMayRead: (entry.mode & 0o040) !== 0,
  }
  const file: Observation = {
    kind: 'resource',
    id,
    type: keys > 0 ? 'private-key-file' : held.store === undefined ? 'certificate-file' : 'key-store',
    name,
    environment: unknown('unsupported'),
    sensitivity: unknown('unsupported'),
    facts: {
      ...facts,
      sizeBytes: entry.sizeBytes,
      certificates: certificates.length,
      privateKeys: keys,
      encryptedKeys: held.lockedKeys,
      damaged: held.damaged,
      store: held.store ?? null,
      isReadable: held.store === undefined,
    },
  }
  const place = { id, location: name, facts }
  return [
    file,
    ...tellCertificates(certificates, { ...place, how: 'file' }, now),
    ...[...new Set(held.keys)].map((key) => tellPrivateKey(key, place)),
  ]
}

const KEY_LABEL = /(^|[A-Z0-9]+ )PRIVATE KEY$/

function heldIn(bytes: Buffer, name: string): Held {
  const store = storeOf(bytes, name)
  if (store !== undefined) return { certificates: [], keys: [], lockedKeys: 0, store, damaged: 0 }
  if (!bytes.includes('-----BEGIN ')) return heldInDer(bytes, name)
  const certificates: CertificateFacts[] = []
  const keys: string[] = []
  let [lockedKeys, damaged] = [0, 0]
  let bundle: string | undefined
  for (const block of pemBlocks(bytes.toString('latin1'))) {
    if (certificates.length > CERTIFICATES_MAX) break
    const certificate = certificateIn(block)
    if (certificate === 'damaged') damaged += 1
    else if (certificate) certificates.push(certificate)
    else if (block.label === 'PKCS7' || block.label === 'CMS') bundle = 'PKCS #7'
    else if (KEY_LABEL.test(block.label)) {
      const key = publicHashOf(new Secret(Buffer.from(block.text, 'latin1')))
      if (key === undefined) lockedKeys += 1
      else keys.push(key)
    }
  }
  return { certificates, keys, lockedKeys, store: bundle, damaged }
}

function heldInDer(bytes: Buffer, name: string): Held {
  const nothing = { certificates: [], keys: [], lockedKeys: 0, store: undefined, damaged: 0 }
  if (bytes[0] !== 0x30) return nothing
  const certificate = readCertificate(bytes)
  if (certificate) return { ...nothing, certificates: [certificate] }
  if (!NAMED.test(name)) return nothing
  const key = publicHashOf(new Secret(bytes))
  if (key !== undefined) return { ...nothing, keys: [key] }
  return { ...nothing, damaged: /\.(crt|cer|cert|der)$/i.test(name) ? 1 : 0 }
}

const JKS = 0xfeedfeed
const JCEKS = 0xcececece

/** Files whose contents need a password to be read. */
function storeOf(bytes: Buffer, name: string): string | undefined {
  if (bytes.length < 8) return undefined
  const magic = bytes.readUInt32BE(0)
  if (magic === JKS || magic === JCEKS) return 'JKS'
  // RFC 7292 §4: a sequence that begins with version 3; so does little else, and its name says the rest.
  if (bytes[0] === 0x30 && /\.(p12|pfx|jks|keystore)$/i.test(name)) return 'PKCS #12'
  const isVersion3 = [0x81, 0x82, 0x83].some(
    (size, at) => bytes[1] === size && bytes.subarray(3 + at, 6 + at).equals(V3),
  )
  return bytes[0] === 0x30 && isVersion3 ? 'PKCS #12' : undefined
}
const V3 = Buffer.of(2, 1, 3)
