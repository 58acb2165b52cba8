/** What text may be wrapped in: another encoding, base64, hexadecimal, percent signs, the strings of a notebook. */
import { IS_BASE64 } from '../prefilter/hash.ts'

/** UTF-16 with a mark, or what looks like it, as UTF-8; anything else as it is. */
export function asUtf8(bytes: Buffer): Buffer {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return Buffer.from(bytes.toString('utf16le', 2), 'utf8')
  if (bytes[0] === 0xfe && bytes[1] === 0xff) {
    const even = Buffer.from(bytes.subarray(2, bytes.length - (bytes.length % 2)))
    return Buffer.from(even.swap16().toString('utf16le'), 'utf8')
  }
  return looksUtf16(bytes) ? Buffer.from(bytes.toString('utf16le'), 'utf8') : bytes
}

/** ASCII in UTF-16 without a mark, as PowerShell encodes commands: every second byte is zero. */
function looksUtf16(bytes: Buffer): boolean {
  if (bytes.length < 16 || bytes[1] !== 0) return false
  for (let at = 0; at < Math.min(bytes.length - 1, 64); at += 2) {
    if (bytes[at] === 0 || bytes[at + 1] !== 0) return false
  }
  return true
}

const LOOKED_AT_BYTES = 8192

/** A zero byte early on: no text. */
export function isBinary(bytes: Buffer): boolean {
  return (bytes.length > LOOKED_AT_BYTES ? bytes.subarray(0, LOOKED_AT_BYTES) : bytes).includes(0)
}

/** Shorter ones hold no secret with its name. */
const SHORTEST_RUN = 40
const LONGEST_RUN = 16 * 1024 ** 2

export type Decoded = {
  readonly start: number
  readonly end: number
  readonly how: 'base64' | 'hex'
  /** Undefined where it is none of these. */
  readonly bytes: Buffer | undefined
}

/** The run of base64 characters around a place, decoded; hexadecimal if it is no more than that. */
export function decodeRun(bytes: Buffer, at: number): Decoded {
  let [start, end] = [at, at]
  while (start > 0 && at - start < LONGEST_RUN && IS_BASE64[bytes[start - 1] ?? 0] === 1) start -= 1
  while (end < bytes.length && end - at < LONGEST_RUN && IS_BASE64[bytes[end] ?? 0] === 1) end += 1
  const size = end - start
  if (size < SHORTEST_RUN) return { start, end, how: 'base64', bytes: undefined }
  const head = bytes.toString('latin1', start, start + Math.min(size, 256))
  if (size % 2 === 0 && /^(?:[0-9a-f]+|[0-9A-F]+)$/.test(head)) {
    return { start, end, how: 'hex', bytes: Buffer.from(bytes.toString('latin1', start, end), 'hex') }
  }
  // Words in lower case, paths, one long name: random bytes have all kinds within so many characters.
  if (!/[A-Z]/.test(head) || !/[a-z]/.test(head)) return { start, end, how: 'base64', bytes: undefined }
  return { start, end, how: 'base64', bytes: Buffer.from(bytes.toString('latin1', start, end), 'base64') }
}

/** Worth another look: text, or something packed. */
export function isWorthIt(bytes: Buffer): boolean {
  if (bytes.length < 16) return false
  let printable = 0
  const size = Math.min(bytes.length, 64)
  for (let at = 0; at < size; at += 1) {
    const byte = bytes[at] ?? 0
    if ((byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d || byte === 0x09) printable += 1
  }
  return printable >= size * 0.9 || (bytes[1] === 0 && bytes[3] === 0 && printable * 2 >= size)
}

const PERCENT = /%[0-9A-Fa-f]{2}/g

/** The line around a place with its percent signs resolved, if that changes it. */
export function percentDecoded(bytes: Buffer, at: number): Buffer | undefined {
  const isEnd = (byte: number | undefined) => byte === undefined || byte <= 0x20 || byte === 0x22 || byte === 0x27
  let [start, end] = [at, at]
  while (start > 0 && at - start < 2048 && !isEnd(bytes[start - 1])) start -= 1
  while (end < bytes.length && end - at < 2048 && !isEnd(bytes[end])) end += 1
  const text = bytes.toString('latin1', start, end)
  const plain = text.replaceAll(PERCENT, (code) => String.fromCharCode(parseInt(code.slice(1), 16)))
  return plain === text ? undefined : Buffer.from(plain, 'latin1')
}

/** The sources and printed outputs of a Jupyter notebook (nbformat 4) as text, one part for each. */
export function notebookParts(bytes: Buffer): { readonly name: string; readonly text: string }[] | undefined {
  const notebook = parsed(bytes.toString('utf8'))
  const cells = member(notebook, 'cells')
  if (!Array.isArray(cells)) return undefined
  return cells.flatMap((cell: unknown, at) => {
    const outputs = member(cell, 'outputs')
    const printed = (Array.isArray(outputs) ? outputs : []).flatMap((output: unknown) => [
      joined(member(output, 'text')),
      joined(member(member(output, 'data'), 'text/plain')),
      joined(member(output, 'traceback')),
    ])
    return [
      { name: `cell ${at + 1}`, text: joined(member(cell, 'source')) },
      { name: `output of cell ${at + 1}`, text: printed.filter((text) => text !== '').join('\n') },
    ].filter(({ text }) => text !== '')
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined
}

function joined(value: unknown): string {
  if (typeof value === 'string') return value
  return Array.isArray(value) ? value.filter((line) => typeof line === 'string').join('') : ''
}
