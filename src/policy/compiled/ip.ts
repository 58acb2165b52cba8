import { IpAddress } from './extension-value.ts'
import { EvaluationFault } from './fault.ts'

/** `ABCD:EF01:2345:6789:ABCD:EF01:2345:6789/128` */
const LONGEST = 43

/** Reads an IPv4 or IPv6 address, with a prefix length behind a slash if wanted. IPv4 inside IPv6 is not accepted. */
export function parseIp(text: string): IpAddress {
  if (Buffer.byteLength(text) > LONGEST) throw new EvaluationFault('not an IP address: too long')
  const slash = text.indexOf('/')
  const host = slash < 0 ? text : text.slice(0, slash)
  const v4 = parseV4(host)
  const address = v4 ?? parseV6(host)
  if (address === undefined) throw new EvaluationFault('not an IP address')
  const bits = v4 === undefined ? 128 : 32
  return new IpAddress(bits, address, slash < 0 ? bits : parsePrefix(text.slice(slash + 1), bits))
}

function parsePrefix(text: string, bits: number): number {
  const prefix = /^(?:0|[1-9][0-9]{0,2})$/.test(text) ? Number(text) : Number.NaN
  if (!(prefix <= bits)) throw new EvaluationFault(`not a prefix length: expected 0 to ${bits}`)
  return prefix
}

function parseV4(host: string): bigint | undefined {
  const parts = host.split('.')
  if (parts.length !== 4) return undefined
  let address = 0n
  for (const part of parts) {
    // A leading zero is refused: some read it as octal.
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined
    address = address * 256n + BigInt(part)
  }
  return address
}

function parseV6(host: string): bigint | undefined {
  const halves = host.split('::')
  if (halves.length > 2) return undefined
  const [left, right] = halves.map((half) => (half === '' ? [] : half.split(':')))
  if (!left) return undefined
  const given = left.length + (right?.length ?? 0)
  // `::` stands for at least one group.
  if (right ? given > 7 : given !== 8) return undefined
  const groups = [...left, ...Array.from({ length: 8 - given }, () => '0'), ...(right ?? [])]
  let address = 0n
  for (const group of groups) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined
    address = address * 65_536n + BigInt(`0x${group}`)
  }
  return address
}

/** Whether every address of the range is a loopback address. */
export function isLoopback({ bits, address, prefix }: IpAddress): boolean {
  return bits === 32 ? address >> 24n === 127n && prefix >= 8 : address === 1n && prefix === 128
}

export function isMulticast({ bits, address, prefix }: IpAddress): boolean {
  return bits === 32 ? address >> 28n === 0xen && prefix >= 4 : address >> 120n === 0xffn && prefix >= 8
}

export function isInRange(inner: IpAddress, outer: IpAddress): boolean {
  if (inner.bits !== outer.bits) return false
  const [innerFirst, innerLast] = ends(inner)
  const [outerFirst, outerLast] = ends(outer)
  return outerFirst <= innerFirst && innerLast <= outerLast
}

function ends({ bits, address, prefix }: IpAddress): [first: bigint, last: bigint] {
  const hosts = (1n << BigInt(bits - prefix)) - 1n
  return [address - (address & hosts), address | hosts]
}
