import { createReadStream } from 'node:fs'
import { Stop } from './report.ts'

/** No honest line is longer. */
const LINE_MAX_BYTES = 524_288

export async function readLines(
  source: string | AsyncIterable<Uint8Array>,
  read: (bytes: Buffer, start: number, end: number) => void,
): Promise<void> {
  const chunks = typeof source === 'string' ? createReadStream(source, { highWaterMark: 1 << 20 }) : source
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const bytes = Buffer.concat([rest, Buffer.from(chunk)])
    let start = 0
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
      if (end - start > LINE_MAX_BYTES) break
      read(bytes, start, end)
      start = end + 1
    }
    rest = bytes.subarray(start)
    if (rest.length > LINE_MAX_BYTES) throw new Stop('malformed', 'A line is longer than any the format has.')
  }
  if (rest.length > 0) throw new Stop('malformed', 'The file ends inside a line.')
}

export function parseRecord(text: string): Map<string, unknown> {
  const parsed = parseJson(Buffer.from(text))
  // Only the one spelling the format has: otherwise bytes could change unnoticed.
  if (typeof parsed === 'object' && parsed !== null && isSpelled(parsed, text)) return new Map(Object.entries(parsed))
  throw new Stop('malformed', 'A line is not written as it should be.')
}

function isSpelled(parsed: object, text: string): boolean {
  try {
    return JSON.stringify(parsed) === text
  } catch {
    return false
  }
}

export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

export function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.getOwnPropertyDescriptor(value, name)?.value
}

export function textOf(record: Map<string, unknown>, name: string): string {
  const value = record.get(name)
  if (typeof value !== 'string' || !value.isWellFormed())
    throw new Stop('malformed', `The ${name} of a line is no text.`)
  return value
}
