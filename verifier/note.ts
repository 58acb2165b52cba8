import { createPublicKey, hash as digest, verify } from 'node:crypto'
import { Stop, UsageError } from './report.ts'

export type Key = { text: string; name: string; id: string; type: number; publicKey: Buffer }
export type Head = { size: number; root: string; signed: string }
export type Checkpoint = Head & {
  origin: string
  text: string
  signatures: { name: string; id: string; bytes: Buffer }[]
}

const NOTE_MAX_BYTES = 262_144
// Each costs a verification; the format asks for at least 16.
const SIGNATURES_MAX = 64
// RFC 8410 §4: what stands before the 32 bytes of an Ed25519 public key.
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex')

// C2SP signed-note and tlog-checkpoint.
export function openCheckpoint(signed: string, origin: string, key: Key): Checkpoint {
  const refuse = (why: string) => new Stop('checkpoint', `A checkpoint of ${origin} ${why}.`, { origin })
  const split = signed.lastIndexOf('\n\n')
  if (split <= 0 || signed.length > NOTE_MAX_BYTES || hasControl(signed) || !signed.endsWith('\n'))
    throw refuse('is malformed')
  const text = signed.slice(0, split + 1)
  const signatures = signed
    .slice(split + 2, -1)
    .split('\n')
    .map((line) => {
      const [, name = '', encoded = ''] = /^— ([^\s+]+) (\S+)$/.exec(line) ?? []
      const bytes = Buffer.from(encoded, 'base64')
      if (bytes.length < 5 || bytes.toString('base64') !== encoded) throw refuse('has a malformed signature')
      return { name, id: bytes.toString('hex', 0, 4), bytes: bytes.subarray(4) }
    })
  const own = signatures.filter(({ name, id }) => name === key.name && id === key.id)
  if (signatures.length > SIGNATURES_MAX) throw refuse('has too many signatures')
  if (own.length === 0) throw refuse('is not signed by the key you gave')
  if (!own.every(({ bytes }) => isSigned(key, Buffer.from(text), bytes))) throw refuse('has a wrong signature')
  const lines = text.slice(0, -1).split('\n')
  const [name, size = '', root = ''] = lines
  if (name !== origin) throw refuse(`is of another log, ${name}`)
  const isHash = Buffer.from(root, 'base64').length === 32 && Buffer.from(root, 'base64').toString('base64') === root
  if (!/^(?:0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)) || !isHash || lines.includes(''))
    throw refuse('is malformed')
  return { origin, size: Number(size), root, signed, text, signatures }
}

// C2SP tlog-cosignature: a big-endian u64 of seconds, then the signature over it and the text.
export function cosignedAt(key: Key, text: string, signatures: Checkpoint['signatures']): [string, number][] {
  return signatures
    .filter(({ name, id }) => name === key.name && id === key.id)
    .map(({ bytes }) => {
      const at = bytes.length === 72 ? Number(bytes.readBigUInt64BE()) : Number.NaN
      if (
        Number.isSafeInteger(at) &&
        isSigned(key, Buffer.from(`cosignature/v1\ntime ${at}\n${text}`), bytes.subarray(8))
      ) {
        return [key.publicKey.toString('hex'), at]
      }
      throw new Stop('checkpoint', `The cosignature of ${key.name} is wrong.`)
    })
}

function isSigned(key: Key, message: Buffer, signature: Buffer): boolean {
  if (signature.length !== 64) return false
  const spki = Buffer.concat([SPKI_ED25519, key.publicKey])
  return verify(null, message, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature)
}

export function parseKey(given: string, type: 1 | 4): Key {
  const text = given.trim()
  const [, name = '', id = '', encoded = ''] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text) ?? []
  const material = Buffer.from(encoded, 'base64')
  const own = digest('sha256', Buffer.concat([Buffer.from(`${name}\n`), material]), 'hex').slice(0, 8)
  if (material.length !== 33 || material[0] !== type || own !== id)
    throw new UsageError(`Not a verifier key of type ${type}: ${JSON.stringify(text.slice(0, 200))}`)
  return { text, name, id, type, publicKey: material.subarray(1) }
}

function hasControl(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the format forbids exactly these
  return /[\u0000-\u0009\u000b-\u001f]/.test(text)
}
