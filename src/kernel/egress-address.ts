import { BlockList, isIP, isIPv4 } from 'node:net'

/** An exception that the configuration declares: where Reeve may reach although nobody outside could, or without TLS. */
export type EgressException = {
  readonly isPlaintext: boolean
  /** A name, which may then lead to a private address; or a network that names may lead into. */
  readonly to: { readonly name: string } | { readonly network: BlockList }
  readonly port: number | undefined
}

type Net = readonly [address: string, prefix: number]

// IANA's special-purpose registries (RFC 6890 and its updates): none of these is somebody else's public service.
const CLOSED_V4: readonly Net[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]
// Of IPv6 only what is handed out is open, so mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96), unique local and link-local are closed by not being in it.
const OPEN_V6: Net = ['2000::', 3]
// Within it: Teredo and other protocol assignments, 6to4, which carries an IPv4 address, and documentation.
const CLOSED_V6: readonly Net[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]
// Not even for a name that the configuration lists: nobody's service has such an address, and 169.254.169.254 gives out a cloud's credentials.
const NEVER_BY_NAME: readonly Net[] = [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['::', 128],
  ['fe80::', 10],
  ['ff00::', 8],
  ['fd00:ec2::', 32],
]

const closedV4 = listOf(CLOSED_V4)
const openV6 = listOf([OPEN_V6])
const closedV6 = listOf(CLOSED_V6)
const neverByName = listOf(NEVER_BY_NAME)

/** Whether an address (as text, in any form) is one that the whole internet can reach. What is no address is not. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !closedV4.check(address, 'ipv4')
    case 6:
      // A zone names a link of this machine.
      return !address.includes('%') && openV6.check(address, 'ipv6') && !closedV6.check(address, 'ipv6')
    default:
      return false
  }
}

/** Whether no system of anybody has this address: of this link, of nobody, of many. */
export function isNobodys(address: string): boolean {
  return isIP(address) === 0 || address.includes('%') || neverByName.check(address, familyOf(address))
}

/** Whether an address may be connected to for a URL of this host, by itself or by an exception. */
export function mayReach(
  exceptions: readonly EgressException[],
  url: { readonly hostname: string; readonly port: number; readonly isPlaintext: boolean },
  address: string,
): boolean {
  if (!url.isPlaintext && isPublicAddress(address)) return true
  if (isIP(address) === 0 || address.includes('%')) return false
  return exceptions.some((exception) => {
    if (exception.isPlaintext !== url.isPlaintext) return false
    if (exception.port !== undefined && exception.port !== url.port) return false
    if ('network' in exception.to) return exception.to.network.check(address, familyOf(address))
    return exception.to.name === url.hostname && !neverByName.check(address, familyOf(address))
  })
}

/** Reads `egress.allow`: `[http://]name-or-network[:port]`. Throws with the entry's position, not its text. */
export function parseExceptions(entries: readonly string[]): EgressException[] {
  return entries.map((entry, at) => {
    const found = parseException(entry)
    if (!found) throw new Error(`egress.allow: entry ${at + 1} is not [http://]name, address or network[:port]`)
    return found
  })
}

function parseException(entry: string): EgressException | undefined {
  const match = /^(http:\/\/)?(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+))(?:\/(\d{1,3}))?(?::(\d{1,5}))?$/.exec(entry)
  if (!match) return undefined
  const [, plain, v6, other, prefixText, portText] = match
  const host = (v6 ?? other ?? '').toLowerCase()
  const port = portText === undefined ? undefined : Number(portText)
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined
  const common = { isPlaintext: plain !== undefined, port }
  const version = isIP(host)
  if (version === 0) {
    if (prefixText !== undefined || !/^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/.test(host)) return undefined
    // `2130706433` and `0x7f.1` would be read as addresses by the URL parser, and never as this name.
    return URL.parse(`http://${host}`)?.hostname === host ? { ...common, to: { name: host } } : undefined
  }
  const longest = version === 4 ? 32 : 128
  const prefix = prefixText === undefined ? longest : Number(prefixText)
  if (prefix > longest) return undefined
  return { ...common, to: { network: listOf([[host, prefix]]) } }
}

function listOf(nets: readonly Net[]): BlockList {
  const list = new BlockList()
  for (const [address, prefix] of nets) list.addSubnet(address, prefix, familyOf(address))
  return list
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6'
}
