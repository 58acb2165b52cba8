/** Writes DER (ITU-T X.690 §10): only what certificates need. */

const SEQUENCE = 0x30
const SET = 0x31

/** A tag, a definite length in the shortest form, the content. */
function tlv(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag), length(content.length), content])
}

export function sequence(...members: readonly Uint8Array[]): Buffer {
  return tlv(SEQUENCE, Buffer.concat(members))
}

/** A set of one member; more would need sorting (§10.3). */
export function setOf(member: Uint8Array): Buffer {
  return tlv(SET, member)
}

/** A number that is not negative: no leading zeros but the one that keeps it positive (§8.3). */
export function integer(value: number | Uint8Array): Buffer {
  const bytes = typeof value === 'number' ? Buffer.of(value) : Buffer.from(value)
  const first = bytes.findIndex((byte) => byte !== 0)
  const shortest = first === -1 ? Buffer.of(0) : bytes.subarray(first)
  return tlv(0x02, (shortest[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), shortest]) : shortest)
}

export function boolean(value: boolean): Buffer {
  return tlv(0x01, Buffer.of(value ? 0xff : 0))
}

export function octetString(content: Uint8Array): Buffer {
  return tlv(0x04, content)
}

/** `unused` bits at the end of the last byte do not count (§8.6). */
export function bitString(content: Uint8Array, unused = 0): Buffer {
  return tlv(0x03, Buffer.concat([Buffer.of(unused), content]))
}

export function utf8String(text: string): Buffer {
  return tlv(0x0c, Buffer.from(text, 'utf8'))
}

/** `1.2.840.10045.4.3.2` (§8.19). */
export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return tlv(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

/** `[n]` around something: constructed and explicit. */
export function explicit(n: number, content: Uint8Array): Buffer {
  return tlv(0xa0 | n, content)
}

/** `[n]` in place of the tag of something primitive. */
export function implicit(n: number, content: Uint8Array): Buffer {
  return tlv(0x80 | n, content)
}

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime after; whole seconds, in UTC. */
export function time(at: Date): Buffer {
  const digits = `${at.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return at.getUTCFullYear() < 2050
    ? tlv(0x17, Buffer.from(digits.slice(2), 'ascii'))
    : tlv(0x18, Buffer.from(digits, 'ascii'))
}

function length(size: number): Buffer {
  if (size < 0x80) return Buffer.of(size)
  const bytes: number[] = []
  for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return Buffer.of(0x80 | bytes.length, ...bytes)
}

function base128(value: number): number[] {
  const bytes = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift(0x80 | (rest % 128))
  return bytes
}
