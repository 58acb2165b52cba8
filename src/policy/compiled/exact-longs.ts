import { policyToJson, templateToJson } from '@cedar-policy/cedar-wasm/nodejs'
import { NotCompiled } from './fault.ts'
import { own } from './json-form.ts'

const noLongs: ReadonlyMap<number, bigint> = new Map()

/** A string with its escapes, a comment, a word, or a number that JSON might not hold. */
const LEXEME = /"(?:[^"\\]|\\.)*"|\/\/[^\n]*|[A-Za-z_]\w*|[0-9]{16,}/gu

/**
 * The conditions of a policy with every number in them exact. JSON as JavaScript reads it rounds whole numbers beyond 2^53, so a policy
 * that has some is parsed once more with a small stand-in for each; `longs` says what they stand for.
 */
export function exactLongs(
  conditions: unknown,
  text: string | undefined,
): { json: unknown; longs: ReadonlyMap<number, bigint> } {
  if (!hasInexact(conditions)) return { json: conditions, longs: noLongs }
  if (text === undefined) throw new NotCompiled('A number that the parsed form could not hold.')
  const longs = new Map<number, bigint>()
  // Above every number of fifteen digits, which are written as they are, and itself exact.
  let standIn = 10 ** 15
  const replaced = text.replaceAll(LEXEME, (lexeme) => {
    if (!/^[0-9]/.test(lexeme)) return lexeme
    standIn += 1
    longs.set(standIn, BigInt(lexeme))
    return String(standIn)
  })
  const parsed = /\?(?:principal|resource)\b/.test(text) ? templateToJson(replaced) : policyToJson(replaced)
  if (parsed.type === 'failure') throw new NotCompiled('A policy that can be read in one way only.')
  return { json: own({ ...parsed.json }, 'conditions'), longs }
}

function hasInexact(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isSafeInteger(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(hasInexact)
}
