import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import type { AssertionResponse, RegistrationResponse } from '../../src/login/passkeys/schemas.ts'

// An authenticator in software: it keeps ES256 keys and makes the attestation objects and assertions that a real one does (WebAuthn Level 3 §6).

type Flags = { readonly isVerified?: boolean; readonly isBackupEligible?: boolean; readonly isBackedUp?: boolean }

/** What a test may have it do wrongly. */
export type Told = Flags & {
  readonly origin?: string
  readonly rpId?: string
  readonly challenge?: string
  readonly crossOrigin?: boolean
  readonly type?: string
  /** The counter it claims; one more than before otherwise. */
  readonly counter?: number
}

export type Authenticator = {
  readonly id: string
  create(options: Readonly<Record<string, unknown>>, told?: Told): RegistrationResponse
  get(options: Readonly<Record<string, unknown>>, told?: Told): AssertionResponse
  /** The same keys in other hands. */
  copy(): Authenticator
}

export function softAuthenticator(origin: string, counts = true): Authenticator {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const id = randomBytes(32)
  return authenticatorOf({ origin, id, publicKey, privateKey, counts }, 0)
}

type Kept = {
  readonly origin: string
  readonly id: Buffer
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
  readonly counts: boolean
}

function authenticatorOf(kept: Kept, begun: number): Authenticator {
  let counter = begun
  const { hostname } = new URL(kept.origin)
  const dataOf = (told: Told, attested?: Buffer) => {
    counter = told.counter ?? (kept.counts ? counter + 1 : 0)
    const flags =
      0x01 |
      (told.isVerified === false ? 0 : 0x04) |
      (told.isBackupEligible ? 0x08 : 0) |
      (told.isBackedUp ? 0x10 : 0) |
      (attested ? 0x40 : 0)
    const count = Buffer.alloc(4)
    count.writeUInt32BE(counter)
    return Buffer.concat([sha256(told.rpId ?? hostname), Buffer.of(flags), count, ...(attested ? [attested] : [])])
  }
  const clientData = (type: string, options: Readonly<Record<string, unknown>>, told: Told) =>
    Buffer.from(
      JSON.stringify({
        type: told.type ?? type,
        challenge: told.challenge ?? options['challenge'],
        origin: told.origin ?? kept.origin,
        crossOrigin: told.crossOrigin ?? false,
      }),
    )
  return {
    id: kept.id.toString('base64url'),
    create(options, told = {}) {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(kept.id.length)
      const authData = dataOf(told, Buffer.concat([Buffer.alloc(16), length, kept.id, coseOf(kept.publicKey)]))
      const attestation = map([
        [text('fmt'), text('none')],
        [text('attStmt'), map([])],
        [text('authData'), bytes(authData)],
      ])
      return {
        id: kept.id.toString('base64url'),
        response: {
          clientDataJSON: clientData('webauthn.create', options, told).toString('base64url'),
          attestationObject: attestation.toString('base64url'),
          transports: ['internal'],
        },
      }
    },
    get(options, told = {}) {
      const data = clientData('webauthn.get', options, told)
      const authenticatorData = dataOf(told)
      const signature = sign('sha256', Buffer.concat([authenticatorData, sha256(data)]), kept.privateKey)
      return {
        id: kept.id.toString('base64url'),
        response: {
          clientDataJSON: data.toString('base64url'),
          authenticatorData: authenticatorData.toString('base64url'),
          signature: signature.toString('base64url'),
        },
      }
    },
    copy: () => authenticatorOf(kept, counter),
  }
}

function sha256(data: Uint8Array | string): Buffer {
  return createHash('sha256').update(data).digest()
}

// RFC 8949 §3: what little CBOR the two structures take.
function head(major: number, length: number): Buffer {
  if (length < 24) return Buffer.of((major << 5) | length)
  if (length < 256) return Buffer.of((major << 5) | 24, length)
  return Buffer.of((major << 5) | 25, length >> 8, length & 0xff)
}

function bytes(data: Buffer): Buffer {
  return Buffer.concat([head(2, data.length), data])
}

function text(data: string): Buffer {
  return Buffer.concat([head(3, data.length), Buffer.from(data)])
}

function integer(value: number): Buffer {
  return value < 0 ? head(1, -1 - value) : head(0, value)
}

function map(pairs: readonly (readonly [Buffer, Buffer])[]): Buffer {
  return Buffer.concat([head(5, pairs.length), ...pairs.flat()])
}

/** RFC 9053 §7.1.1: kty EC2, alg ES256, crv P-256, x, y. */
function coseOf(key: KeyObject): Buffer {
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  return map([
    [integer(1), integer(2)],
    [integer(3), integer(-7)],
    [integer(-1), integer(1)],
    [integer(-2), bytes(Buffer.from(x, 'base64url'))],
    [integer(-3), bytes(Buffer.from(y, 'base64url'))],
  ])
}
