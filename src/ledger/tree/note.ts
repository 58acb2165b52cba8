import { ed25519Verify, sha256 } from '../../kernel/crypto.ts'
import type { Ed25519Signer } from '../../kernel/crypto.ts'
import { decodeBase64 } from './base64.ts'
import { InvalidProof } from './invalid.ts'

/** C2SP signed-note, signature types: an Ed25519 signature over the text, and a witness's timestamped one. */
export const KeyType = { ed25519: 0x01, cosignature: 0x04 } as const
export type KeyType = (typeof KeyType)[keyof typeof KeyType]

export type VerifierKey = {
  readonly name: string
  readonly type: KeyType
  /** 8 hex digits; with the name it says which key signed, never that it did. */
  readonly id: string
  readonly publicKey: Buffer
}

export type NoteSignature = { readonly name: string; readonly id: string; readonly bytes: Buffer }

export type Note = {
  /** What is signed, with its final newline. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** A key that can sign notes as `key.name`. */
export type NoteSigner = { readonly key: VerifierKey; sign(text: string): Buffer }

/** What a note may measure: 16 signatures (which must be accepted) of 5 kB (the largest known type) with room to spare. */
export const NOTE_MAX_BYTES = 262_144

/** More signature lines than any policy has keys; each costs a verification. */
const SIGNATURES_MAX = 64

const COSIGNATURE_BYTES = 8 + 64

/** The key that verifiers are given for a public key and a name. */
export function verifierKey(name: string, type: KeyType, publicKey: Buffer): VerifierKey {
  if (!isKeyName(name)) throw new InvalidProof('A key name is not empty and holds no space, control character or plus.')
  if (publicKey.length !== 32) throw new InvalidProof('An Ed25519 public key has 32 bytes.')
  // C2SP signed-note: key ID = SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]
  const digest = sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([type]), publicKey]))
  return { name, type, id: digest.toString('hex', 0, 4), publicKey }
}

/** `example.com/foo+530d903a+AekyeR…`: the text form of a verifier key. */
export function formatVerifierKey(key: VerifierKey): string {
  return `${key.name}+${key.id}+${Buffer.concat([Buffer.from([key.type]), key.publicKey]).toString('base64')}`
}

/** The inverse; throws when the key ID is not the key's own. */
export function parseVerifierKey(text: string): VerifierKey {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text)
  if (!match) throw new InvalidProof('A verifier key reads name+id+base64.')
  const material = decodeBase64(match[3] ?? '')
  const type = [KeyType.ed25519, KeyType.cosignature].find((known) => known === material[0])
  if (type === undefined) throw new InvalidProof('The key type is not one this version verifies.')
  const key = verifierKey(match[1] ?? '', type, material.subarray(1))
  if (key.id !== match[2]) throw new InvalidProof('The key ID does not belong to this key.')
  return key
}

/** Signs notes with type 0x01. */
export function noteSigner(name: string, signer: Ed25519Signer): NoteSigner {
  return {
    key: verifierKey(name, KeyType.ed25519, signer.publicKey),
    sign: (text) => signer.sign(Buffer.from(text)),
  }
}

/** The note of a text, signed by each signer in turn. */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  return formatNote({
    text,
    signatures: signers.map((signer) => ({ name: signer.key.name, id: signer.key.id, bytes: signer.sign(text) })),
  })
}

export function formatNote(note: Note): string {
  const bytes = `${note.text}\n${note.signatures.map(formatSignature).join('')}`
  parseNote(bytes)
  return bytes
}

export function formatSignature({ name, id, bytes }: NoteSignature): string {
  return `— ${name} ${Buffer.concat([Buffer.from(id, 'hex'), bytes]).toString('base64')}\n`
}

/** Reads a note and verifies nothing. */
export function parseNote(note: string): Note {
  if (Buffer.byteLength(note) > NOTE_MAX_BYTES) throw new InvalidProof('The note is too long.')
  if (!note.isWellFormed() || hasControlCharacter(note)) throw new InvalidProof('The note holds characters it may not.')
  const split = note.lastIndexOf('\n\n')
  if (split <= 0) throw new InvalidProof('The note has no signatures.')
  return { text: note.slice(0, split + 1), signatures: parseSignatures(note.slice(split + 2)) }
}

/** Signature lines alone, as a witness answers them. */
export function parseSignatures(block: string): NoteSignature[] {
  if (!block.endsWith('\n')) throw new InvalidProof('The signatures do not end with a newline.')
  const lines = block.slice(0, -1).split('\n')
  if (lines.length > SIGNATURES_MAX) throw new InvalidProof('The note has too many signatures.')
  return lines.map((line) => {
    const match = /^— (\S+) (\S+)$/.exec(line)
    const bytes = decodeBase64(match?.[2] ?? '')
    if (!match || !isKeyName(match[1] ?? '') || bytes.length < 5)
      throw new InvalidProof('A signature line is malformed.')
    return { name: match[1] ?? '', id: bytes.toString('hex', 0, 4), bytes: bytes.subarray(4) }
  })
}

/** A signature that a known key made; `at` is the witness's timestamp in seconds where its type has one. */
export type Verified = { readonly key: VerifierKey; readonly at: number | undefined }

/**
 * Every known key that signed, in the order of the keys. Unknown keys are ignored; a known name and ID with a signature that
 * does not verify makes the whole note malformed, so nobody can hide a forgery behind a valid one.
 */
export function verifyNote(note: Note, keys: readonly VerifierKey[]): Verified[] {
  return keys.flatMap((key) => {
    const own = note.signatures.filter(({ name, id }) => name === key.name && id === key.id)
    const verified = own.map((signature) => verifySignature(note.text, key, signature.bytes))
    return verified.slice(0, 1)
  })
}

function verifySignature(text: string, key: VerifierKey, bytes: Buffer): Verified {
  const isCosignature = key.type === KeyType.cosignature
  const at = isCosignature && bytes.length === COSIGNATURE_BYTES ? Number(bytes.readBigUInt64BE(0)) : undefined
  const message = at === undefined ? Buffer.from(text) : cosignedMessage(text, at)
  const isWhole = !isCosignature || Number.isSafeInteger(at)
  if (!isWhole || !ed25519Verify(key.publicKey, message, isCosignature ? bytes.subarray(8) : bytes)) {
    throw new InvalidProof(`The signature of ${key.name} is wrong.`)
  }
  return { key, at }
}

/** C2SP tlog-cosignature: what an Ed25519 cosigner signs. */
export function cosignedMessage(text: string, atSeconds: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${atSeconds}\n${text}`)
}

function isKeyName(name: string): boolean {
  // U+0085 is a space to Unicode's White_Space, which is what the format speaks of, but not to \s.
  return name.length > 0 && name.isWellFormed() && !/[\s+\u0085]/.test(name) && !hasControlCharacter(name)
}

function hasControlCharacter(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the format forbids exactly these
  return /[\u0000-\u0009\u000b-\u001f]/.test(text)
}
