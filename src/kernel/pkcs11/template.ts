import { memory, type Cryptoki } from './cryptoki.ts'

// PKCS #11 2.40, pkcs11t.h.
export const CKA = {
  class: 0x000,
  token: 0x001,
  private: 0x002,
  label: 0x003,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  encrypt: 0x104,
  decrypt: 0x105,
  sign: 0x108,
  verify: 0x10a,
  valueLength: 0x161,
  extractable: 0x162,
  ecParameters: 0x180,
  ecPoint: 0x181,
} as const
export const CKO = { publicKey: 2, privateKey: 3, secretKey: 4 } as const
export const CKK = { ec: 3, aes: 0x1f } as const

export type Attribute = readonly [type: number, value: Buffer | string | number | boolean]

const ATTRIBUTE_BYTES = 24
const ULONG_BYTES = 8

/** CK_ATTRIBUTE[] with its values behind it, in one piece of memory. */
export function templateOf(cryptoki: Cryptoki, attributes: readonly Attribute[]): Buffer {
  const values = attributes.map(([, value]) => bytesOf(value))
  const head = ATTRIBUTE_BYTES * attributes.length
  const all = memory(head + values.reduce((sum, { length }) => sum + length, 0))
  const base = cryptoki.addressOf(all)
  let at = head
  for (const [index, value] of values.entries()) {
    const place = ATTRIBUTE_BYTES * index
    all.writeBigUInt64LE(BigInt(attributes[index]?.[0] ?? 0), place)
    all.writeBigUInt64LE(base + BigInt(at), place + ULONG_BYTES)
    all.writeBigUInt64LE(BigInt(value.length), place + 2 * ULONG_BYTES)
    value.copy(all, at)
    at += value.length
  }
  return all
}

/** What `C_GetAttributeValue` wrote for the first attribute of a template; undefined where the object has none, or does not show it. */
export function firstValue(template: Buffer): Buffer | undefined {
  const length = template.readBigUInt64LE(2 * ULONG_BYTES)
  // CK_UNAVAILABLE_INFORMATION is the highest number there is.
  return length > BigInt(template.length - ATTRIBUTE_BYTES)
    ? undefined
    : template.subarray(ATTRIBUTE_BYTES, ATTRIBUTE_BYTES + Number(length))
}

const MECHANISM_BYTES = 24
const GCM_BYTES = 48

/** CK_MECHANISM without a parameter. */
export function mechanismOf(type: number): Buffer {
  const all = memory(MECHANISM_BYTES)
  all.writeBigUInt64LE(BigInt(type))
  return all
}

/** CK_MECHANISM with CK_GCM_PARAMS, the IV and what is bound behind it, in one piece of memory. */
export function gcmMechanism(
  cryptoki: Cryptoki,
  type: number,
  { iv, boundTo, tagBytes }: { readonly iv: Buffer; readonly boundTo: Buffer; readonly tagBytes: number },
): Buffer {
  const ivAt = MECHANISM_BYTES + GCM_BYTES
  const all = memory(ivAt + iv.length + boundTo.length)
  const base = cryptoki.addressOf(all)
  const [ivPlace, boundPlace] = [base + BigInt(ivAt), base + BigInt(ivAt + iv.length)]
  const mechanism = [type, base + BigInt(MECHANISM_BYTES), GCM_BYTES]
  // IV, its length in bytes and in bits, what is bound, its length, bits of the tag.
  const gcm = [ivPlace, iv.length, iv.length * 8, boundPlace, boundTo.length, tagBytes * 8]
  for (const [at, number] of [...mechanism, ...gcm].entries()) all.writeBigUInt64LE(BigInt(number), at * ULONG_BYTES)
  all.set(iv, ivAt)
  all.set(boundTo, ivAt + iv.length)
  return all
}

/** The IV as it stands in such a mechanism: some tokens choose it themselves and write it there. */
export function ivOf(mechanism: Buffer, sizeBytes: number): Buffer {
  const at = MECHANISM_BYTES + GCM_BYTES
  return Buffer.from(mechanism.subarray(at, at + sizeBytes))
}

function bytesOf(value: Attribute[1]): Buffer {
  if (Buffer.isBuffer(value)) return value
  if (typeof value === 'string') return Buffer.from(value, 'utf8')
  if (typeof value === 'boolean') return Buffer.of(value ? 1 : 0)
  const number = Buffer.alloc(ULONG_BYTES)
  number.writeBigUInt64LE(BigInt(value))
  return number
}
