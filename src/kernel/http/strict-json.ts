/** A body that is JSON by the letter but not safe to act on, or not JSON at all. The message is ours and quotes nothing. */
export class JsonRefused extends Error {
  override readonly name = 'JsonRefused'
}

/** Deeper than any schema of ours; a bound for whatever walks the value later. */
const DEEPEST = 32
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Names that reach an object's prototype when something copies keys carelessly. */
const POISONED = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * RFC 8259 with its interoperability advice (RFC 7493 §2.1 and §2.3) held: UTF-8 only, no lone surrogates, no key twice in an object (two
 * readers would see two values), no prototype keys, bounded depth. With `any` a text may hold what its sender could not choose: a NUL, or half a
 * character.
 */
export function parseStrictJson(bytes: Uint8Array, texts: 'storable' | 'any' = 'storable'): unknown {
  let text: string
  let value: unknown
  try {
    text = utf8.decode(bytes)
    value = JSON.parse(text)
  } catch (error) {
    throw new JsonRefused('the body is not JSON in UTF-8', { cause: error })
  }
  inspectKeys(text, texts)
  return value
}

/** Whether a text can be hashed and stored as it is: well-formed Unicode, and no NUL, which PostgreSQL has no text for. */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** Walks text that `JSON.parse` took, so the grammar needs no second check. */
function inspectKeys(text: string, texts: 'storable' | 'any'): void {
  const open: (Set<string> | undefined)[] = []
  let isKeyNext = false
  for (let at = 0; at < text.length; at += 1) {
    const letter = text.charCodeAt(at)
    if (letter === QUOTE) {
      const end = endOfString(text, at)
      const keys = isKeyNext ? open.at(-1) : undefined
      inspectString(text.slice(at, end), keys, texts)
      isKeyNext = false
      at = end - 1
    } else if (letter === COMMA) {
      isKeyNext = open.at(-1) !== undefined
    } else if (letter === OPEN_OBJECT || letter === OPEN_LIST) {
      isKeyNext = letter === OPEN_OBJECT
      open.push(isKeyNext ? new Set() : undefined)
      if (open.length > DEEPEST) throw new JsonRefused(`the body is nested deeper than ${DEEPEST}`)
    } else if (letter === CLOSE_OBJECT || letter === CLOSE_LIST) {
      open.pop()
      isKeyNext = false
    }
  }
}

const BACKSLASH = 0x5c
const [QUOTE, COMMA, OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST] = [0x22, 0x2c, 0x7b, 0x7d, 0x5b, 0x5d]

function inspectString(quoted: string, keys: Set<string> | undefined, texts: 'storable' | 'any'): void {
  // Only an escape can spell what the bytes may not hold, and without one a text is what it looks like.
  const isEscaped = quoted.includes('\\')
  const mustStore = texts === 'storable' || keys !== undefined
  if (mustStore && isEscaped && quoted.includes('\\u') && !isStorable(unquoted(quoted))) {
    throw new JsonRefused('the body has a text with a NUL or half a character')
  }
  if (keys) addKey(keys, isEscaped ? unquoted(quoted) : quoted.slice(1, -1))
}

function addKey(keys: Set<string>, key: string): void {
  if (POISONED.has(key)) throw new JsonRefused('the body has a key that reaches for a prototype')
  if (keys.has(key)) throw new JsonRefused('the body has a key twice')
  keys.add(key)
}

function unquoted(quoted: string): string {
  const text: unknown = JSON.parse(quoted)
  if (typeof text !== 'string') throw new JsonRefused('a string is none')
  return text
}

function endOfString(text: string, start: number): number {
  let at = start + 1
  for (let letter = text.charCodeAt(at); letter !== QUOTE; letter = text.charCodeAt(at)) {
    at += letter === BACKSLASH ? 2 : 1
  }
  return at + 1
}
