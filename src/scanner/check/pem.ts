import { verified, type Verdict } from './verdict.ts'

/** The bytes between the lines of a PEM block (RFC 7468), which in JSON and shells have `\n` for their ends. */
function pemBody(block: string): Buffer | undefined {
  const lines = block
    .replaceAll(/\\[nr]|&#10;/g, '\n')
    .replaceAll(/-----[A-Z0-9 ]+-----/g, '')
    .split('\n')
    .map(bare)
  const body = lines.filter((line) => line !== '' && line !== '+' && !line.includes(':')).join('')
  return /^[A-Za-z0-9+/]{32,}={0,2}$/.test(body) ? Buffer.from(body, 'base64') : undefined
}

/** What quotes, comments, quoting of mails and ends of strings put around a line of base64. */
const AROUND = ' \t\r"\'`>|#*,;\\'

/** Without it; by hand, since a pattern for the end of a line takes quadratic time. */
function bare(line: string): string {
  let [from, to] = [0, line.length]
  while (from < to && AROUND.includes(line.charAt(from))) from += 1
  while (to > from && AROUND.includes(line.charAt(to - 1))) to -= 1
  return line.slice(from, to)
}

/** Whether bytes begin with one DER SEQUENCE (X.690 §8.9) that reaches about to their end. */
function isSequence(der: Buffer): boolean {
  const first = der[1] ?? 0
  if (der[0] !== 0x30) return false
  if (first < 0x80) return Math.abs(first + 2 - der.length) <= 2
  const size = first & 0x7f
  if (size < 1 || size > 4 || der.length < 2 + size) return false
  return Math.abs(der.readUIntBE(2, size) + 2 + size - der.length) <= 2
}

/** PKCS #1, SEC 1, DSA and PKCS #8 keys (RFC 8017, 5915, 5958). Under a passphrase by header, or by form. */
export function pemKey(block: string): Verdict | undefined {
  const body = pemBody(block)
  if (!body) return undefined
  if (/Proc-Type: ?4,ENCRYPTED/.test(block)) return { validity: 'encrypted', detail: 'under a passphrase' }
  if (!isSequence(body)) return undefined
  return block.includes('ENCRYPTED PRIVATE KEY')
    ? { validity: 'encrypted', detail: 'under a passphrase' }
    : verified('structure read, no passphrase')
}

const OPENSSH_MAGIC = 'openssh-key-v1\0'

/** A file of OpenSSH's own format (PROTOCOL.key): the cipher that its head names says whether there is a passphrase. */
export function opensshKey(block: string): Verdict | undefined {
  const body = pemBody(block)
  if (body?.subarray(0, OPENSSH_MAGIC.length).toString('latin1') !== OPENSSH_MAGIC) return undefined
  let at = OPENSSH_MAGIC.length
  const string = (): string | undefined => {
    if (at + 4 > body.length) return undefined
    const size = body.readUInt32BE(at)
    if (size > body.length - at - 4) return undefined
    at += 4 + size
    return body.subarray(at - size, at).toString('latin1')
  }
  const [cipher, kdf] = [string(), string()]
  if (cipher === undefined || kdf === undefined) return undefined
  return cipher === 'none' ? verified('structure read, no passphrase') : { validity: 'encrypted', detail: cipher }
}

/** A key file of PuTTY says by its second line whether it is encrypted. */
export function puttyKey(block: string): Verdict {
  return /Encryption: none/.test(block)
    ? verified('no passphrase')
    : { validity: 'encrypted', detail: 'under a passphrase' }
}
