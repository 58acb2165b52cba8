import { Unreadable } from '../connector.ts'
import { BEGIN, END } from './script.ts'

export type HostRecord = { readonly word: string; readonly fields: readonly Buffer[] }

/**
 * Reads what the script printed. What a login prints of itself before it begins is passed over; anything else that is not a record, or an output
 * that does not end as it should, is an error: half an answer is none.
 */
export function readRecords(output: Buffer): HostRecord[] {
  const lines = output.toString('latin1').split('\n')
  const begin = lines.indexOf(BEGIN)
  if (begin < 0) throw new Unreadable('the host did not run what reads it')
  const end = lines.indexOf(END, begin)
  if (end < 0) throw new Unreadable('the answer of the host was cut off')
  return lines.slice(begin + 1, end).map((line) => recordOf(line))
}

function recordOf(line: string): HostRecord {
  const [word = '', ...parts] = line.split(' ')
  if (!/^[a-z]{2,12}$/.test(word)) throw new Unreadable('the host printed something between its records')
  return { word, fields: parts.map((part) => fieldOf(part)) }
}

function fieldOf(part: string): Buffer {
  const match = /^(\d{1,9}):([A-Za-z0-9+/]*={0,2})$/.exec(part)
  const [, size, encoded = ''] = match ?? []
  if (Number(size) !== encoded.length) throw new Unreadable('a field of the host has another length than it says')
  return Buffer.from(encoded, 'base64')
}

/** The text of a field; names of other encodings stay apart by their replacement being written out. */
export function textOf(record: HostRecord, at: number): string {
  const field = record.fields[at] ?? Buffer.alloc(0)
  const text = field.toString('utf8')
  return Buffer.from(text, 'utf8').equals(field) ? text : `bytes:${field.toString('hex')}`
}

/** Text of a whole file: what is no UTF-8 in it is read as latin1, so that no two lines become one. */
export function linesOf(record: HostRecord, at: number): string[] {
  const field = record.fields[at] ?? Buffer.alloc(0)
  const text = field.toString('utf8')
  const whole = Buffer.from(text, 'utf8').equals(field) ? text : field.toString('latin1')
  return whole.split('\n').filter((line) => line !== '')
}

/** Whether a field is as long as it may be: what it is of may go on. */
export function isFull(record: HostRecord, at: number, bytes: number): boolean {
  return (record.fields[at]?.length ?? 0) >= bytes
}

/** `mode uid size`, as stat gave them; undefined when the file is not there. */
export function modeOf(
  record: HostRecord,
  at: number,
): { readonly mode: string; readonly ownerUid: number } | undefined {
  const match = /^([0-7]{1,5}) (\d{1,10}) \d+$/.exec(textOf(record, at).trim())
  return match ? { mode: (match[1] ?? '').padStart(4, '0'), ownerUid: Number(match[2]) } : undefined
}
