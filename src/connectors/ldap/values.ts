/** Values of entries, and how Active Directory and RFC 4517 write instants and ids. */
import type { Entry } from 'ldapts'
import { Instant, instantAt } from '../../kernel/instant.ts'

/** Attribute types have no case (RFC 4512 §2.5). Of one that came in pieces the first. */
export function textsOf(entry: Entry, name: string): string[] {
  const sought = name.toLowerCase()
  const piece = `${sought};range=`
  const value = Object.entries(entry).find(([key]) => {
    const described = key.toLowerCase()
    return described === sought || described.startsWith(piece)
  })?.[1]
  if (value === undefined) return []
  return (Array.isArray(value) ? value : [value]).map((each) =>
    typeof each === 'string' ? each : each.toString('utf8'),
  )
}

/** Whether there are more values than the answer has, of something else than members, which are asked for piece by piece ([MS-ADTS] §3.1.1.3.1.3.3). */
export function isCut(entry: Entry): boolean {
  return Object.keys(entry).some((name) => /;range=\d+-\d+$/i.test(name) && !/^member;/i.test(name))
}

export function textOf(entry: Entry, name: string): string | undefined {
  const [first] = textsOf(entry, name)
  return first === undefined || first === '' ? undefined : first
}

export function numberOf(entry: Entry, name: string): number | undefined {
  const text = textOf(entry, name)
  return text !== undefined && /^-?\d{1,19}$/.test(text) ? Number(text) : undefined
}

export function bytesOf(entry: Entry, name: string): Buffer | undefined {
  const value = entry[name]
  const first = Array.isArray(value) ? value[0] : value
  return Buffer.isBuffer(first) && first.length > 0 ? first : undefined
}

/** What stays when an entry is renamed or moved: `objectGUID`, or `entryUUID` (RFC 4530). */
export function stableId(entry: Entry): string | undefined {
  const guid = bytesOf(entry, 'objectGUID')
  if (guid?.length === 16) {
    // [MS-DTYP] §2.3.4.2: three numbers with the low byte first, then bytes.
    const hex = [
      Buffer.from(guid.subarray(0, 4).toReversed()),
      Buffer.from(guid.subarray(4, 6).toReversed()),
      Buffer.from(guid.subarray(6, 8).toReversed()),
      guid.subarray(8, 10),
      guid.subarray(10),
    ]
    return hex.map((part) => part.toString('hex')).join('-')
  }
  return textOf(entry, 'entryUUID')?.toLowerCase()
}

/** [MS-DTYP] §2.4.2.1, `S-1-5-…`. */
export function sidOf(entry: Entry): string | undefined {
  const sid = bytesOf(entry, 'objectSid')
  return sid && sid.length === 8 + 4 * (sid[1] ?? 0) ? sidAt(sid, 0) : undefined
}

/** §2.4.2.2: the SID that begins there, undefined where there is none. */
export function sidAt(bytes: Buffer, at: number): string | undefined {
  const count = bytes[at + 1] ?? 0
  if (bytes[at] !== 1 || count > 15 || at + 8 + 4 * count > bytes.length) return undefined
  const parts = Array.from({ length: count }, (_, n) => bytes.readUInt32LE(at + 8 + 4 * n))
  return ['S', 1, bytes.readUIntBE(at + 2, 6), ...parts].join('-')
}

/** Hundreds of nanoseconds since 1601. 0 and the largest mean never. */
export function fileTime(ticks: number | undefined): Date | undefined {
  if (ticks === undefined || ticks <= 0 || ticks >= 9.2e18) return undefined
  return instantAt(ticks / 10_000 - 11_644_473_600_000)
}

/** RFC 4517 §3.3.13, `20261122153000.123Z`. */
export function generalizedTime(text: string | undefined): Date | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?Z$/.exec(text ?? '')
  if (!parts) return undefined
  const [, year, month, day, hour, minute, second, fraction = '0'] = parts
  return Instant.safeDecode(`${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction}Z`).data
}

/** Names of entries are compared as servers do, near enough: without case, and without blanks around their signs. */
export function dnKey(dn: string): string {
  return dn.toLowerCase().replace(/\s*([,=])\s*/g, '$1')
}
