/** Secrets made at run time, valid by structure and never real: nothing in the tree looks like one. Seeded, so that a failure comes again. */
import { generateKeyPairSync } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { bech32Sum } from '../../../src/scanner/check/encoded.ts'

/** Fills `{kind:length}` in a template with random characters. */
export type Make = (template: string) => string
export type Sample = { readonly path: string; readonly text: string }
export type Samples = Readonly<Record<string, string | Sample | ((make: Make) => string)>>

/** Mulberry32: enough for tests, the same everywhere. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) / 4_294_967_296
  }
}

const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
const LOWER = UPPER.toLowerCase()
const DIGITS = '0123456789'
const ALPHABETS: Readonly<Record<string, string>> = {
  h: '0123456789abcdef',
  H: '0123456789ABCDEF',
  d: DIGITS,
  a: UPPER + LOWER + DIGITS,
  w: `${UPPER}${LOWER}${DIGITS}_-`,
  b: `${UPPER}${LOWER}${DIGITS}+/`,
  l: LOWER + DIGITS,
  u: UPPER + DIGITS,
  L: UPPER + LOWER,
  2: `${UPPER}234567`,
}
/** As the ones in lower case beside them, with a letter and a digit for certain. */
const MIXED: Readonly<Record<string, string>> = { m: 'a', M: 'u', n: 'l' }

export function maker(random: () => number): Make {
  const pick = (alphabet: string, size: number) =>
    Array.from({ length: size }, () => alphabet[Math.floor(random() * alphabet.length)] ?? '').join('')
  const part = (kind: string, size: number): string => {
    const plain = MIXED[kind]
    if (kind === 'b64') return Buffer.from(pick(ALPHABETS['a'] ?? '', size), 'latin1').toString('base64')
    if (plain === undefined) {
      // Ends in a letter or digit, as the next character would otherwise not be told from it.
      const body = pick(ALPHABETS[kind] ?? '', size - 1)
      return body + pick((ALPHABETS[kind] ?? '').replaceAll(/[^A-Za-z0-9]/g, ''), 1)
    }
    const alphabet = ALPHABETS[plain] ?? ''
    const letters = alphabet.replaceAll(/\d/g, '')
    return pick(letters, 1) + pick(alphabet, size - 4) + pick(DIGITS, 1) + pick(letters, 1) + pick(DIGITS, 1)
  }
  return (template) =>
    template
      .replaceAll('{uuid}', () => part('h', 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'))
      .replaceAll(/\{([A-Za-z0-9]{1,3}):(\d+)\}/g, (_, kind: string, size: string) => part(kind, Number(size)))
}

/** A sample's file and text. */
export function sampleOf(samples: Samples, id: string, make: Make): Sample {
  const sample = samples[id]
  if (sample === undefined) throw new Error(`There is no sample of ${id}.`)
  if (typeof sample === 'string') return { path: 'config/settings.txt', text: make(sample) }
  if (typeof sample === 'function') return { path: 'config/settings.txt', text: sample(make) }
  return { path: sample.path, text: make(sample.text) }
}

/** GitHub's and npm's checksum written anew, so that the product's is not its own judge. */
export function crcSample(make: Make, prefix: string): string {
  const entropy = make('{a:30}')
  const alphabet = DIGITS + UPPER + LOWER
  let sum = BigInt(crc32(entropy))
  let text = ''
  for (; text.length < 6; sum /= 62n) text = `${alphabet[Number(sum % 62n)]}${text}`
  return prefix + entropy + text
}

export function hexCrcSample(make: Make, template: string, separator: string): string {
  const head = make(template)
  const sum = crc32(head).toString(16).padStart(8, '0')
  return head + separator + (separator === '=' ? sum.toUpperCase() : sum)
}

/** An access key id whose account has twelve digits: the bit that would make it more is not set. */
export function awsKeyIdSample(make: Make, prefix: string): string {
  return prefix + 'Q' + make('{2:15}')
}

export function macaroonSample(make: Make, prefix: string, location: string): string {
  const head = Buffer.concat([Buffer.from([2, 1, location.length]), Buffer.from(location)])
  const rest = Buffer.from([2, 36, ...Buffer.from(make('{uuid}')), 0, 2, 25, ...Buffer.from(make('{a:60}'))])
  return prefix + Buffer.concat([head, rest]).toString('base64url')
}

export function ageSample(make: Make): string {
  const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
  const bytes = [...Buffer.from(make('{a:32}'))]
  const bits = bytes.map((byte) => byte.toString(2).padStart(8, '0')).join('') + '0000'
  const values = (bits.match(/.{5}/g) ?? []).map((five) => parseInt(five, 2))
  const sum = bech32Sum('age-secret-key-', [...values, 0, 0, 0, 0, 0, 0]) ^ 1
  const check = [0, 1, 2, 3, 4, 5].map((at) => (sum >>> (5 * (5 - at))) & 31)
  return `AGE-SECRET-KEY-1${[...values, ...check]
    .map((value) => alphabet[value])
    .join('')
    .toUpperCase()}`
}

export function jwtSample(make: Make): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: make('{a:10}'), exp: 4_000_000_000 })}.${make('{w:43}')}`
}

/** PROTOCOL.key, as far as its head; what follows is only as long as a key would be. */
export function opensshSample(make: Make): string {
  const string = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)])
  const { publicKey } = generateKeyPairSync('ed25519')
  const body = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    string('none'),
    string('none'),
    string(''),
    Buffer.from([0, 0, 0, 1]),
    publicKey.export({ type: 'spki', format: 'der' }),
    Buffer.from(make('{a:130}')),
  ])
  const lines = body.toString('base64').match(/.{1,70}/g) ?? []
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----`
}
