/** Shorter secrets show nothing: four of eight characters would be half of it. */
const SHOWN_FROM = 12

/** The first and last two characters of what is long enough. */
export function previewOf(secret: string): string {
  if (secret.length < SHOWN_FROM) return '••••'
  const shown = (text: string) => text.replaceAll(/[^\u0021-\u007e]/g, '?')
  return `${shown(secret.slice(0, 2))}••••${shown(secret.slice(-2))}`
}

/**
 * The secret as whoever uses it has it, so that one secret has one fingerprint wherever it was found: line ends of keys that stand in JSON are
 * line ends, percent signs of an address are resolved.
 */
export function plainValue(secret: string, rule: string): Buffer {
  if (secret.includes('-----BEGIN ')) {
    return Buffer.from(secret.replaceAll('\\n', '\n').replaceAll('\\r', '').replaceAll('\r', ''), 'latin1')
  }
  if (rule.endsWith('-url') && /%[0-9A-Fa-f]{2}/.test(secret)) {
    return Buffer.from(
      secret.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16))),
      'latin1',
    )
  }
  return Buffer.from(secret, 'latin1')
}
