import { isNoSecret } from './placeholder.ts'

/** Bits a character, by what occurs in the text itself (Shannon). */
function bitsPerCharacter(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i
const HEX = /^[0-9a-f]+$/i
const ADDRESS = /^(?:[a-z][a-z0-9+.-]*:\/\/|\/|\.{1,2}\/|~\/|[A-Za-z]:\\|www\.)/i
const VERSION_OR_DATE = /^v?\d+(?:[.:\-T/]\d+)+/
const MAIL = /^[\w.+-]+@[\w-]+\.[\w.]+$/

/** Shares of text that is not random: letters that follow letters as words have them. */
const VOWELS = /[aeiouy]/i
const CONSONANTS = /[bcdfghjklmnpqrstvwxz]{5}/i

/** Whether a text is made of words: few changes between letters and digits, vowels as words have them. */
function isOfWords(text: string): boolean {
  const parts = text.split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])/).filter((part) => part !== '')
  if (parts.length === 0) return true
  return parts.every(
    (part) =>
      /^\d{1,4}$/.test(part) ||
      (/^[A-Za-z]{1,3}$/.test(part) && parts.length > 1) ||
      (/^(?:[A-Za-z]?[a-z]+|[A-Z]+)\d{0,3}$/.test(part) && VOWELS.test(part) && !CONSONANTS.test(part)),
  )
}

export type Kind = 'password' | 'secret'

/** Fewest bits a character: hexadecimal has at most four, and short text cannot show many. */
const FEWEST_BITS = { hex: 3, password: 2.7, short: 3.1, long: 3.5 } as const
const LONG = 24

/**
 * Whether a value that is assigned to such a name is a secret: random enough for its length and alphabet, and nothing that is known to look so
 * (a reference, an address, a version, an identifier, words).
 */
export function isSecretValue(value: string, kind: Kind, { isQuoted }: { readonly isQuoted: boolean }): boolean {
  if (value.length < (kind === 'password' ? 8 : 12) || value.length > 400) return false
  if (isNoSecret(value) || UUID.test(value) || ADDRESS.test(value) || VERSION_OR_DATE.test(value)) return false
  if (MAIL.test(value) || /\s/.test(value) || /[^\u0021-\u007e]/.test(value)) return false
  const [hasDigit, hasLetter, hasSign] = [/\d/.test(value), /[A-Za-z]/.test(value), /[^A-Za-z0-9]/.test(value)]
  if (!hasLetter && !hasSign) return false
  if (isOfWords(value) && !(kind === 'password' && hasDigit && hasSign && isQuoted)) return false
  if (/[()[\]{}<>]|=>|::|->|\\[nrtu]/.test(value) && !(kind === 'password' && isQuoted)) return false
  if (!isQuoted && (/^[a-z]+(?:\.[A-Za-z]+)+/.test(value) || !hasDigit)) return false
  const bits = bitsPerCharacter(value)
  if (HEX.test(value)) return hasDigit && value.length >= 16 && bits >= FEWEST_BITS.hex
  if (kind === 'password') return (hasDigit || hasSign) && bits >= FEWEST_BITS.password
  return hasDigit && bits >= (value.length < LONG ? FEWEST_BITS.short : FEWEST_BITS.long)
}
