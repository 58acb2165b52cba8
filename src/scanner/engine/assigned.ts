import { isSecretValue, type Kind } from './entropy.ts'

/** A rule over names: what is assigned to one, and random enough, is a secret nobody described. */
type NameRule = { readonly id: string; readonly what: string; readonly kind: Kind; readonly names: readonly string[] }

export const nameRules: readonly NameRule[] = [
  {
    id: 'assigned-password',
    what: 'Password assigned to a name',
    kind: 'password',
    names: [
      'passw',
      'pwd=',
      'pwd:',
      'pwd"',
      "pwd'",
      'pwd ',
      '_pwd',
      '_pass',
      'passphrase',
      'storepass',
      'keypass',
      'dbpass',
      'userpass',
      'smtppass',
      'pass:',
      'pass=',
    ],
  },
  { id: 'assigned-token', what: 'Token assigned to a name', kind: 'secret', names: ['token', 'bearer'] },
  {
    id: 'assigned-secret',
    what: 'Secret assigned to a name',
    kind: 'secret',
    names: ['secret', 'credential', '_salt', 'webhook_url'],
  },
  {
    id: 'assigned-key',
    what: 'Key assigned to a name',
    kind: 'secret',
    names: [
      'apikey',
      'api_key',
      'api-key',
      'access_key',
      'accesskey',
      'access-key',
      'auth_key',
      'authkey',
      'private_key',
      'privatekey',
      'private-key',
      'encryption_key',
      'encryptionkey',
      'encryption-key',
      'signing_key',
      'signingkey',
      'signing-key',
      'master_key',
      'masterkey',
      'master-key',
      'hmac_key',
      'account_key',
      'storage_key',
      'session_key',
      'license_key',
    ],
  },
]

/** What a name ends in when it speaks about a secret and does not hold it. */
const IS_ABOUT =
  /(?:file|path|dir|folder|name|names|url|uri|endpoint|host|ids?|type|length|len|size|field|label|hash|hashed|digest|expiry|expires|expiration|expiresat|ttl|policy|regex|pattern|prefix|suffix|hint|prompt|placeholder|count|limit|header|param|class|format|version|algorithm|alg|arn|ref|env|var|description|desc|title|text|error|message|rotation|manager|provider|store|scope|scopes|audience|issuer|public|pub|encryption|method|mode|mechanism)$/i

type Assigned = { readonly start: number; readonly value: string; readonly isQuoted: boolean }

const is = (test: RegExp): Uint8Array =>
  Uint8Array.from({ length: 128 }, (_, byte) => (test.test(String.fromCharCode(byte)) ? 1 : 0))
const NAME = is(/[A-Za-z0-9_.-]/)
const CLOSING = is(/["'\]\\`)?]/)
const BLANK = is(/[ \t]/)
const ENDS_VALUE = is(/[\s"'`,;)}\]<>|&]/)

const ENDS_LINE = is(/[nrt"']/)
const SPACE = is(/\s/)
const COMPOUND = is(/[?.+|]/)
const OPERATOR = is(/[=:>]/)
const TYPE_BEGINS = is(/[sS&c]/)

const LONGEST_NAME = 60
const LONGEST_VALUE = 400

/**
 * What stands behind a name at `at`, read byte by byte so that it costs no more than the bytes it passes: the rest of the name, an operator, quotes,
 * the value. Nothing if it is no assignment.
 */
export function assignedAt(bytes: Buffer, at: number): Assigned | undefined {
  let to = at
  const skip = (set: Uint8Array, most: number) => {
    for (let n = 0; n < most && set[bytes[to] ?? 0] === 1; n += 1) to += 1
  }
  skip(NAME, LONGEST_NAME)
  const name = bytes.toString('latin1', at, to)
  if (IS_ABOUT.test(name)) return undefined
  skip(CLOSING, 4)
  skip(BLANK, 8)
  // `var apiToken string = "…"`
  skipType()
  const operatorAt = to
  if (!skipOperator()) return undefined
  skip(BLANK, 8)
  skipType()
  if (bytes[to] === 0x3d) {
    to += 1
    skip(BLANK, 8)
  }
  if (bytes[to] === 0x62 || bytes[to] === 0x66 || bytes[to] === 0x40) if (isQuote(bytes[to + 1])) to += 1
  if (bytes[to] === 0x5c && isQuote(bytes[to + 1])) to += 1
  const quote = isQuote(bytes[to]) ? bytes[to] : undefined
  if (quote !== undefined) return quoted(bytes, to + 1, quote)
  // In parentheses and after a comma only quoted text is a value.
  const operator = bytes[operatorAt]
  return operator === 0x28 || operator === 0x2c ? undefined : unquoted(bytes, to)

  function skipOperator(): boolean {
    const byte = bytes[to]
    // `?=` of make, `.=`, `+=`, `|=`: only with the sign of equality.
    if (byte !== undefined && COMPOUND[byte] === 1 && bytes[to + 1] === 0x3d) {
      to += 2
      return true
    }
    if (byte === 0x3e && isElement()) {
      to += 1
      skip(SPACE, 24)
      return true
    }
    if (byte !== 0x3d && byte !== 0x3a && byte !== 0x2c && byte !== 0x28) return false
    for (let n = 0; n < 4 && OPERATOR[bytes[to] ?? 0] === 1; n += 1) to += 1
    if (to === operatorAt) to += 1
    return true
  }

  /** `<apiToken>` and not `token > 5`. */
  function isElement(): boolean {
    let from = at
    while (from > 0 && at - from < LONGEST_NAME && NAME[bytes[from - 1] ?? 0] === 1) from -= 1
    return bytes[from - 1] === 0x3c
  }

  /** `password: string = "…"`: as far as the sign. */
  function skipType(): void {
    if (TYPE_BEGINS[bytes[to] ?? 0] !== 1) return
    const typed = /^(?:string|str|String|&str|char\[\]|Secret)\??[ \t]{0,4}(?==)/.exec(
      bytes.toString('latin1', to, to + 24),
    )
    if (typed) to += typed[0].length
  }
}

const isQuote = (byte: number | undefined): boolean => byte === 0x22 || byte === 0x27 || byte === 0x60

function quoted(bytes: Buffer, start: number, quote: number): Assigned | undefined {
  for (let to = start; to < start + LONGEST_VALUE && to < bytes.length; to += 1) {
    const byte = bytes[to]
    if (byte === 0x0a) return undefined
    if (byte !== quote) continue
    const end = bytes[to - 1] === 0x5c ? to - 1 : to
    return { start, value: bytes.toString('latin1', start, end), isQuoted: true }
  }
  return undefined
}

function unquoted(bytes: Buffer, start: number): Assigned | undefined {
  let to = start
  while (to < bytes.length && to < start + LONGEST_VALUE && ENDS_VALUE[bytes[to] ?? 0] !== 1 && bytes[to] !== 0x28) {
    // In the text of a string the line ends here.
    if (bytes[to] === 0x5c && ENDS_LINE[bytes[to + 1] ?? 0] === 1) break
    to += 1
  }
  const next = bytes[to]
  // A call, an index: code, and no value.
  if (next === 0x28 || next === 0x5b || to === start) return undefined
  return { start, value: bytes.toString('latin1', start, to), isQuoted: false }
}

/** The value as it counts: of base64 that is text, what it says, as manifests of Kubernetes have it. */
export function judgeAssigned(found: Assigned, kind: Kind): boolean {
  const { value, isQuoted } = found
  if (value.length >= 12 && value.length % 4 === 0 && /^[A-Za-z0-9+/]{8,}={0,2}$/.test(value)) {
    const text = Buffer.from(value, 'base64').toString('latin1')
    if (/^[\u0020-\u007e\n\r\t]+$/.test(text)) return isSecretValue(text.trim(), kind, { isQuoted: true })
  }
  return isSecretValue(value, kind, { isQuoted })
}
