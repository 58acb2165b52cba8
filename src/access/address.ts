/**
 * A client address as proofs are bound to it. An IPv4 address may come wrapped in IPv6 (RFC 4291 §2.5.5.2), and all of the loopback
 * is one place: `localhost` reaches either family from one connection to the next.
 */
export function placeOf(address: string): string {
  const plain = address.toLowerCase().replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/, '')
  return plain === '::1' || plain.startsWith('127.') ? 'loopback' : plain
}
