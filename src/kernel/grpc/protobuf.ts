/** Protocol Buffers on the wire, for the few messages that are spoken here. https://protobuf.dev/programming-guides/encoding/ */

/** Bytes that are no message. */
export class NotProtobuf extends Error {
  override readonly name = 'NotProtobuf'
}

const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5

/** What a field holds: a number, or the bytes of a text, of a message, or of a fixed width. */
export type FieldValue = number | Buffer

/** Calls `visit` with each field in its order. What a reader does not know it leaves alone; groups, which nobody writes any more, are refused. */
export function readFields(bytes: Buffer, visit: (number: number, value: FieldValue) => void): void {
  let at = 0
  const varint = (): number => {
    let [value, scale] = [0, 1]
    for (let taken = 0; taken < 10; taken += 1) {
      const byte = bytes[at]
      if (byte === undefined) throw new NotProtobuf('a number is cut off')
      at += 1
      value += (byte & 0x7f) * scale
      scale *= 128
      if (byte < 0x80) return value
    }
    throw new NotProtobuf('a number has more than ten bytes')
  }
  const take = (length: number): Buffer => {
    if (length > bytes.length - at) throw new NotProtobuf('a field is longer than its message')
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const tag = varint()
    const number = Math.floor(tag / 8)
    if (number < 1 || number > MOST_FIELDS) throw new NotProtobuf('a field has no number')
    switch (tag % 8) {
      case VARINT:
        visit(number, varint())
        break
      case FIXED64:
        visit(number, take(8))
        break
      case LENGTH:
        visit(number, take(varint()))
        break
      case FIXED32:
        visit(number, take(4))
        break
      default:
        throw new NotProtobuf('a field is of a kind that is not spoken')
    }
  }
}

const MOST_FIELDS = 536_870_911

/** The text of a field. A text that is not UTF-8 is none. */
export function textOf(value: FieldValue): string {
  const bytes = bytesOf(value)
  const text = bytes.toString('utf8')
  // Replacement characters that were not sent mean that something else was.
  if (text.includes('\ufffd') && Buffer.byteLength(text) !== bytes.length) throw new NotProtobuf('a text is not UTF-8')
  return text
}

export function bytesOf(value: FieldValue): Buffer {
  if (typeof value === 'number') throw new NotProtobuf('a number stands where bytes belong')
  return value
}

/** A field of a text or of a message that is made already. */
export function field(number: number, value: string | Buffer): Buffer {
  const length = typeof value === 'string' ? Buffer.byteLength(value, 'utf8') : value.length
  const tag = number * 8 + LENGTH
  const bytes = Buffer.allocUnsafe(sizeOf(tag) + sizeOf(length) + length)
  const at = put(bytes, put(bytes, 0, tag), length)
  if (typeof value === 'string') bytes.write(value, at, 'utf8')
  else bytes.set(value, at)
  return bytes
}

/** A field of a whole number that is not negative: enumerations, truth. */
export function numberField(number: number, value: number): Buffer {
  const tag = number * 8 + VARINT
  const bytes = Buffer.allocUnsafe(sizeOf(tag) + sizeOf(value))
  put(bytes, put(bytes, 0, tag), value)
  return bytes
}

/** How many bytes a number takes. */
function sizeOf(value: number): number {
  let size = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) size += 1
  return size
}

/** Writes a number, and says where the next thing stands. */
function put(bytes: Buffer, at: number, value: number): number {
  let [rest, place] = [value, at]
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) place = bytes.writeUInt8((rest % 128) | 0x80, place)
  return bytes.writeUInt8(rest, place)
}
