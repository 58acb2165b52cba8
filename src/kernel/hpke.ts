import {
  createCipheriv,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import type { Secret } from './secret.ts'

/** What only the holder of one X25519 key opens: the ephemeral public key, and the ciphertext with its tag. */
export type Sealed = { readonly enc: Buffer; readonly ciphertext: Buffer }

/** An ephemeral key pair that is not made here, for the published vectors. */
export type Ephemeral = { readonly privateKey: KeyObject; readonly publicKey: KeyObject }

// RFC 9180 §7: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode.
const KEM = Buffer.from('KEM\x00\x20', 'latin1')
const SUITE = Buffer.from('HPKE\x00\x20\x00\x01\x00\x02', 'latin1')
const KEY_BYTES = 32
const NONCE_BYTES = 12
const X25519_BYTES = 32
const NOTHING = Buffer.alloc(0)

/** RFC 9180 §6.1 SealBase for one message. Throws where `recipient` is no X25519 key or one that gives everybody the same secret. */
export function hpkeSeal(
  recipient: Buffer,
  plain: Secret<Buffer>,
  { info, aad }: { readonly info: Buffer; readonly aad: Buffer },
  ephemeral: Ephemeral = generateKeyPairSync('x25519'),
): Sealed {
  const enc = rawOf(ephemeral.publicKey)
  const shared = encap(ephemeral, recipient, enc)
  const { key, nonce } = schedule(shared, info)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad)
  return { enc, ciphertext: Buffer.concat([cipher.update(plain.reveal()), cipher.final(), cipher.getAuthTag()]) }
}

/** The 32 bytes of an X25519 public key (RFC 7748 §5), or undefined: text in base64 or base64url, or PEM. */
export function readX25519(text: string): Buffer | undefined {
  try {
    if (text.includes('-----BEGIN PUBLIC KEY-----')) {
      const key = createPublicKey(text)
      return key.asymmetricKeyType === 'x25519' ? rawOf(key) : undefined
    }
    const raw = Buffer.from(text.trim(), 'base64url')
    return raw.length === X25519_BYTES ? raw : undefined
  } catch {
    return undefined
  }
}

// §4.1: node's X25519 refuses an all-zero shared secret itself.
function encap({ privateKey }: Ephemeral, recipient: Buffer, enc: Buffer): Buffer {
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: recipient.toString('base64url') },
    format: 'jwk',
  })
  const dh = diffieHellman({ privateKey, publicKey })
  const prk = extract(KEM, NOTHING, 'eae_prk', dh)
  return expand(KEM, prk, 'shared_secret', Buffer.concat([enc, recipient]), KEY_BYTES)
}

// §5.1, mode_base without a psk; the nonce of the first and only message is the base nonce.
function schedule(shared: Buffer, info: Buffer): { key: Buffer; nonce: Buffer } {
  const context = Buffer.concat([
    Buffer.of(0),
    extract(SUITE, NOTHING, 'psk_id_hash', NOTHING),
    extract(SUITE, NOTHING, 'info_hash', info),
  ])
  const secret = extract(SUITE, shared, 'secret', NOTHING)
  return {
    key: expand(SUITE, secret, 'key', context, KEY_BYTES),
    nonce: expand(SUITE, secret, 'base_nonce', context, NONCE_BYTES),
  }
}

function extract(suite: Buffer, salt: Buffer, label: string, ikm: Buffer): Buffer {
  return hmac(salt, Buffer.concat([Buffer.from('HPKE-v1'), suite, Buffer.from(label), ikm]))
}

/** One block of HKDF-Expand (RFC 5869 §2.3) is all that is needed here. */
function expand(suite: Buffer, prk: Buffer, label: string, info: Buffer, length: number): Buffer {
  const head = Buffer.from([length >> 8, length & 0xff])
  const message = Buffer.concat([head, Buffer.from('HPKE-v1'), suite, Buffer.from(label), info, Buffer.of(1)])
  return hmac(prk, message).subarray(0, length)
}

function hmac(key: Buffer, data: Buffer): Buffer {
  return createHmac('sha256', key).update(data).digest()
}

function rawOf(key: KeyObject): Buffer {
  return Buffer.from(String(key.export({ format: 'jwk' }).x), 'base64url')
}
