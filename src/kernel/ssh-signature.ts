/** Signatures as `ssh-keygen -Y sign` makes them: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig */
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto'

const MAGIC = Buffer.from('SSHSIG')
const VERSION = 1
const ARMOR = /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]{1,8000})\n-----END SSH SIGNATURE-----\n?$/
const HASHES = ['sha256', 'sha512']

/** The public key of a line of a `.pub` file without its comment, as everybody writes it: `ssh-ed25519 AAAA…`. Undefined for what is none. */
export function sshKeyLine(text: string): string | undefined {
  const [type, base64] = text.trim().split(/\s+/)
  if (type === undefined || base64 === undefined || !/^[A-Za-z0-9+/]{20,2000}={0,2}$/.test(base64)) return undefined
  const blob = Buffer.from(base64, 'base64')
  const key = keyOf(blob)
  return key?.type === type ? `${type} ${blob.toString('base64')}` : undefined
}

/** Whether `armored` is the signature of this key (a line of a `.pub` file) over exactly `message` in `namespace`. */
export function verifySshSignature(keyLine: string, namespace: string, message: string, armored: string): boolean {
  const line = sshKeyLine(keyLine)
  const body = ARMOR.exec(armored)?.[1]
  if (line === undefined || body === undefined) return false
  const parts = signatureIn(Buffer.from(body, 'base64'))
  const blob = Buffer.from(line.split(' ')[1] ?? '', 'base64')
  if (!parts || !parts.key.equals(blob) || parts.namespace !== namespace) return false
  const key = keyOf(blob)
  if (!key) return false
  const { namespace: space, reserved, hash, signature } = parts
  const digest = createHash(hash).update(message).digest()
  const signed = Buffer.concat([MAGIC, sized(space), sized(reserved), sized(hash), sized(digest)])
  return isSignedBy(key, signed, signature)
}

type Parts = {
  readonly key: Buffer
  readonly namespace: string
  readonly reserved: Buffer
  readonly hash: string
  readonly signature: { readonly type: string; readonly bytes: Buffer }
}

function signatureIn(blob: Buffer): Parts | undefined {
  const read = reader(blob)
  if (!read.raw(MAGIC.length)?.equals(MAGIC) || read.number() !== VERSION) return undefined
  const [key, namespace, reserved, hash, whole] = [read.bytes(), read.bytes(), read.bytes(), read.bytes(), read.bytes()]
  if (!key || !namespace || !reserved || !hash || !whole || !read.isOver()) return undefined
  const inner = reader(whole)
  const [type, bytes] = [inner.bytes(), inner.bytes()]
  const hashName = hash.toString('latin1')
  if (!type || !bytes || !inner.isOver() || !HASHES.includes(hashName)) return undefined
  return {
    key,
    namespace: namespace.toString('utf8'),
    reserved,
    hash: hashName,
    signature: { type: type.toString('latin1'), bytes },
  }
}

type SshKey = { readonly type: string; readonly key: KeyObject }

/** RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4. */
function keyOf(blob: Buffer): SshKey | undefined {
  const read = reader(blob)
  const type = read.bytes()?.toString('latin1')
  try {
    if (type === 'ssh-ed25519') {
      const x = read.bytes()
      if (x?.length !== 32 || !read.isOver()) return undefined
      return { type, key: publicKey({ kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') }) }
    }
    if (type === 'ecdsa-sha2-nistp256') {
      const [curve, point] = [read.bytes()?.toString('latin1'), read.bytes()]
      if (curve !== 'nistp256' || point?.length !== 65 || point[0] !== 4 || !read.isOver()) return undefined
      const [x, y] = [point.subarray(1, 33).toString('base64url'), point.subarray(33).toString('base64url')]
      return { type, key: publicKey({ kty: 'EC', crv: 'P-256', x, y }) }
    }
    if (type === 'ssh-rsa') {
      const [e, n] = [read.bytes(), read.bytes()]
      if (!e || !n || n.length < RSA_LEAST_BYTES || !read.isOver()) return undefined
      return { type, key: publicKey({ kty: 'RSA', n: unsigned(n), e: unsigned(e) }) }
    }
  } catch {
    return undefined
  }
  return undefined
}

const RSA_LEAST_BYTES = 256

function isSignedBy({ type, key }: SshKey, signed: Buffer, signature: Parts['signature']): boolean {
  try {
    if (type === 'ssh-ed25519') return signature.type === type && verify(null, signed, key, signature.bytes)
    if (type === 'ssh-rsa') {
      // PROTOCOL.sshsig: never SHA-1.
      const hash = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' }[signature.type]
      return hash !== undefined && verify(hash, signed, key, signature.bytes)
    }
    const read = reader(signature.bytes)
    const [r, s] = [read.bytes(), read.bytes()]
    if (signature.type !== type || !r || !s || !read.isOver()) return false
    const raw = Buffer.concat([fixed(r), fixed(s)])
    return raw.length === 64 && verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, raw)
  } catch {
    return false
  }
}

function publicKey(jwk: Readonly<Record<string, string>>): KeyObject {
  return createPublicKey({ key: { ...jwk }, format: 'jwk' })
}

function unsigned(number: Buffer): string {
  return (number[0] === 0 ? number.subarray(1) : number).toString('base64url')
}

/** A number of at most 32 bytes, in exactly 32. */
function fixed(number: Buffer): Buffer {
  const bytes = number[0] === 0 ? number.subarray(1) : number
  return Buffer.concat([Buffer.alloc(Math.max(0, 32 - bytes.length)), bytes])
}

/** RFC 4251 §5: `string`. */
function sized(bytes: Uint8Array | string): Buffer {
  const body = Buffer.from(bytes)
  const head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  return Buffer.concat([head, body])
}

function reader(bytes: Buffer) {
  let at = 0
  const raw = (length: number): Buffer | undefined => {
    if (length > bytes.length - at) return undefined
    at += length
    return bytes.subarray(at - length, at)
  }
  const number = () => raw(4)?.readUInt32BE(0)
  return {
    raw,
    number,
    bytes: (): Buffer | undefined => {
      const length = number()
      return length === undefined ? undefined : raw(length)
    },
    isOver: () => at === bytes.length,
  }
}
