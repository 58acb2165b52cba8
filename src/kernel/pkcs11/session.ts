import { memory, ulong, type Cryptoki } from './cryptoki.ts'
import { CKA, CKK, CKO, firstValue, gcmMechanism, ivOf, mechanismOf, templateOf, type Attribute } from './template.ts'

// PKCS #11 2.40, pkcs11t.h.
const CKM = { ecKeyPairGen: 0x1040, ecdsa: 0x1041, aesKeyGen: 0x1080, aesGcm: 0x1087 } as const
/** The object identifier of P-256 in DER (RFC 5480 §2.1.1.1). */
const P256 = Buffer.from('06082a8648ce3d030107', 'hex')
const IV_BYTES = 12
const TAG_BYTES = 16
const SIGNATURE_BYTES = 64
const AES_BYTES = 32
const ULONG_BYTES = 8
/** More than one is already too many. */
const MOST_FOUND = 2
const MOST_VALUE_BYTES = 512

/** Says why a key of a token is not used, in a sentence for people. */
export class KeyRefused extends Error {
  override readonly name = 'KeyRefused'
}

/** One session with a token, logged in. One thing at a time. */
export class Session {
  readonly #cryptoki: Cryptoki
  readonly #handle: bigint
  /** Keys found in this session, by what they were found by. */
  readonly #keys = new Map<string, bigint>()

  constructor(cryptoki: Cryptoki, handle: bigint) {
    this.#cryptoki = cryptoki
    this.#handle = handle
  }

  /** A new pair of P-256 whose private half never leaves the token; gives the point of the public one. */
  async makePair(id: Buffer, label: string): Promise<Buffer> {
    const both: Attribute[] = [
      [CKA.token, true],
      [CKA.id, id],
      [CKA.label, label],
    ]
    const halves: readonly [Attribute[], Attribute[]] = [
      [[CKA.ecParameters, P256], [CKA.verify, true], [CKA.private, false], ...both],
      [[CKA.sign, true], [CKA.private, true], [CKA.sensitive, true], [CKA.extractable, false], ...both],
    ]
    const [ofPublic, ofPrivate] = halves.map((attributes) => templateOf(this.#cryptoki, attributes))
    const [publicKey, privateKey] = [ulong(0), ulong(0)]
    await this.#cryptoki.call(
      'C_GenerateKeyPair',
      this.#handle,
      mechanismOf(CKM.ecKeyPairGen),
      ofPublic ?? null,
      halves[0].length,
      ofPrivate ?? null,
      halves[1].length,
      publicKey,
      privateKey,
    )
    await this.#mustStay(privateKey.readBigUInt64LE(), label)
    return pointOf((await this.#attribute(publicKey.readBigUInt64LE(), CKA.ecPoint)) ?? Buffer.alloc(0))
  }

  /** The 64 bytes of a signature over a SHA-256 digest. Throws `KeyRefused` where there is no such key, or it could be taken out. */
  async sign(id: Buffer, digest: Buffer): Promise<Buffer> {
    const key = await this.#key(CKO.privateKey, [CKA.id, id], `the key ${id.toString('hex')}`)
    await this.#cryptoki.call('C_SignInit', this.#handle, mechanismOf(CKM.ecdsa), key)
    const [data, signature, length] = [copyOf(digest), memory(2 * SIGNATURE_BYTES), ulong(2 * SIGNATURE_BYTES)]
    await this.#cryptoki.call('C_Sign', this.#handle, data, data.length, signature, length)
    if (length.readBigUInt64LE() !== BigInt(SIGNATURE_BYTES))
      throw new KeyRefused('the key in the token is not of P-256')
    return Buffer.from(signature.subarray(0, SIGNATURE_BYTES))
  }

  /** Removes both halves; nothing where they are gone. */
  async destroyPair(id: Buffer): Promise<void> {
    for (const kind of [CKO.privateKey, CKO.publicKey]) {
      const found = await this.#find([
        [CKA.class, kind],
        [CKA.id, id],
      ])
      for (const object of found) await this.#cryptoki.call('C_DestroyObject', this.#handle, object)
    }
    this.#keys.clear()
  }

  /** A new AES-256 key that never leaves the token, unless there is one of this name. */
  async makeAesKey(label: string): Promise<void> {
    const asked: Attribute[] = [
      [CKA.class, CKO.secretKey],
      [CKA.label, label],
    ]
    if ((await this.#find(asked)).length > 0) return
    const attributes: Attribute[] = [
      ...asked,
      [CKA.keyType, CKK.aes],
      [CKA.valueLength, AES_BYTES],
      ...[CKA.token, CKA.private, CKA.sensitive, CKA.encrypt, CKA.decrypt].map((type): Attribute => [type, true]),
      [CKA.extractable, false],
    ]
    const template = templateOf(this.#cryptoki, attributes)
    const how = mechanismOf(CKM.aesKeyGen)
    await this.#cryptoki.call('C_GenerateKey', this.#handle, how, template, attributes.length, ulong(0))
  }

  /** AES-256-GCM with a key of the token: the IV, the ciphertext and the tag. */
  async encrypt(label: string, plain: Buffer, boundTo: Buffer, iv: Buffer): Promise<Buffer> {
    const key = await this.#key(CKO.secretKey, [CKA.label, label], label)
    const gcm = this.#gcm(iv, boundTo)
    await this.#cryptoki.call('C_EncryptInit', this.#handle, gcm, key)
    const [data, sealed] = [copyOf(plain), memory(plain.length + TAG_BYTES)]
    const length = ulong(sealed.length)
    await this.#cryptoki.call('C_Encrypt', this.#handle, data, data.length, sealed, length)
    data.fill(0)
    // Some tokens choose the IV themselves and write it where ours stood.
    return Buffer.concat([ivOf(gcm, iv.length), sealed.subarray(0, Number(length.readBigUInt64LE()))])
  }

  async decrypt(label: string, sealed: Buffer, boundTo: Buffer): Promise<Buffer> {
    const key = await this.#key(CKO.secretKey, [CKA.label, label], label)
    const gcm = this.#gcm(sealed.subarray(0, IV_BYTES), boundTo)
    await this.#cryptoki.call('C_DecryptInit', this.#handle, gcm, key)
    const data = copyOf(sealed.subarray(IV_BYTES))
    const plain = memory(data.length)
    const length = ulong(plain.length)
    await this.#cryptoki.call('C_Decrypt', this.#handle, data, data.length, plain, length)
    const opened = Buffer.from(plain.subarray(0, Number(length.readBigUInt64LE())))
    plain.fill(0)
    return opened
  }

  async close(): Promise<void> {
    await this.#cryptoki.call('C_CloseSession', this.#handle)
  }

  async #key(kind: number, by: Attribute, name: string): Promise<bigint> {
    const place = `${kind}:${String(by[1] instanceof Buffer ? by[1].toString('hex') : by[1])}`
    const known = this.#keys.get(place)
    if (known !== undefined) return known
    const [key, another] = await this.#find([[CKA.class, kind], by])
    if (key === undefined) throw new KeyRefused(`${name} is not in the token`)
    if (another !== undefined) throw new KeyRefused(`${name} stands more than once in the token`)
    await this.#mustStay(key, name)
    this.#keys.set(place, key)
    return key
  }

  /** A key that can be taken out of its token is not better than one in a file. */
  async #mustStay(key: bigint, name: string): Promise<void> {
    const extractable = await this.#attribute(key, CKA.extractable)
    const sensitive = await this.#attribute(key, CKA.sensitive)
    if (extractable?.[0] !== 0 || sensitive?.[0] !== 1) {
      throw new KeyRefused(`${name} can be taken out of the token (CKA_EXTRACTABLE, or not CKA_SENSITIVE)`)
    }
  }

  async #find(attributes: readonly Attribute[]): Promise<bigint[]> {
    const template = templateOf(this.#cryptoki, attributes)
    await this.#cryptoki.call('C_FindObjectsInit', this.#handle, template, attributes.length)
    const [found, count] = [memory(MOST_FOUND * ULONG_BYTES), ulong(0)]
    try {
      await this.#cryptoki.call('C_FindObjects', this.#handle, found, MOST_FOUND, count)
    } finally {
      await this.#cryptoki.call('C_FindObjectsFinal', this.#handle)
    }
    return Array.from({ length: Number(count.readBigUInt64LE()) }, (_, at) => found.readBigUInt64LE(at * ULONG_BYTES))
  }

  async #attribute(object: bigint, type: number): Promise<Buffer | undefined> {
    const template = templateOf(this.#cryptoki, [[type, Buffer.alloc(MOST_VALUE_BYTES)]])
    await this.#cryptoki.call('C_GetAttributeValue', this.#handle, object, template, 1)
    return firstValue(template)
  }

  #gcm(iv: Buffer, boundTo: Buffer): Buffer {
    return gcmMechanism(this.#cryptoki, CKM.aesGcm, { iv, boundTo, tagBytes: TAG_BYTES })
  }
}

function copyOf(bytes: Buffer): Buffer {
  const copy = memory(bytes.length)
  copy.set(bytes)
  return copy
}

/** CKA_EC_POINT is a DER octet string around the point (2.3.3 of the mechanisms), and some tokens leave it out. */
function pointOf(value: Buffer): Buffer {
  const point = value.length === 67 && value[0] === 0x04 && value[1] === 0x41 ? value.subarray(2) : value
  if (point.length !== 65 || point[0] !== 0x04) throw new KeyRefused('the token made a key that is not of P-256')
  return Buffer.from(point)
}
