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
 * RFC 8259 with its interoperability advice (RFC 7493 §2.3) held: UTF-8 only, no key twice in an object (two readers would see two values),
 * no prototype keys, bounded depth.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string
  let value: unknown
  try {
    text = utf8.decode(bytes)
    value = JSON.parse(text)
  } catch (error) {
    throw new JsonRefused('the body is not JSON in UTF-8', { cause: error })
  }
  inspectKeys(text)
  return value
}

/** Walks text that `JSON.parse` took, so the grammar needs no second check. */
function inspectKeys(text: string): void {
  const open: (Set<string> | undefined)[] = []
  let isKeyNext = false
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at]
    if (letter === '{' || letter === '[') {
      open.push(letter === '{' ? new Set() : undefined)
      if (open.length > DEEPEST) throw new JsonRefused(`the body is nested deeper than ${DEEPEST}`)
      isKeyNext = letter === '{'
    } else if (letter === '}' || letter === ']') {
      open.pop()
      isKeyNext = false
    } else if (letter === ',') {
      isKeyNext = open.at(-1) !== undefined
    } else if (letter === '"') {
      const end = endOfString(text, at)
      const keys = open.at(-1)
      if (isKeyNext && keys) addKey(keys, text.slice(at, end))
      isKeyNext = false
      at = end - 1
    }
  }
}

function addKey(keys: Set<string>, quoted: string): void {
  const key: unknown = JSON.parse(quoted)
  if (typeof key !== 'string') throw new JsonRefused('a key is not a string')
  if (POISONED.has(key)) throw new JsonRefused('the body has a key that reaches for a prototype')
  if (keys.has(key)) throw new JsonRefused('the body has a key twice')
  keys.add(key)
}

function endOfString(text: string, start: number): number {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}
