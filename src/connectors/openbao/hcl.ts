/** The part of HCL in which policies are written: blocks `path "…" { capabilities = […] }`, comments, values of any shape that are passed over. */
export type Rule = { readonly path: string; readonly capabilities: readonly string[]; readonly isConditional: boolean }

/** Undefined where the text is no policy: a right that is not understood must not pass for none. */
export function readPolicy(text: string): Rule[] | undefined {
  try {
    const document = text.trimStart().startsWith('{') ? JSON.parse(text) : new Reader(tokensOf(text)).document()
    return rulesOf(document)
  } catch (error) {
    if (error instanceof NoPolicy || error instanceof SyntaxError) return undefined
    throw error
  }
}

class NoPolicy extends Error {
  override readonly name = 'NoPolicy'
}

/** Older policies have one word for several capabilities. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  deny: ['deny'],
  read: ['read', 'list'],
  write: ['create', 'read', 'update', 'delete', 'list'],
  sudo: ['create', 'read', 'update', 'delete', 'list', 'sudo'],
}
const CONDITIONS =
  /^(?:(?:allowed|denied|required)_parameters|(?:min|max)_wrapping_ttl|control_group|expiration|pagination_limit)$/

function rulesOf(document: unknown): Rule[] {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) throw new NoPolicy()
  const paths: unknown = 'path' in document ? document.path : {}
  const blocks: unknown[] = Array.isArray(paths) ? paths : [paths]
  return blocks.flatMap((block) => {
    if (typeof block !== 'object' || block === null) throw new NoPolicy()
    return Object.entries(block).map(([path, body]) => ruleOf(path, body))
  })
}

function ruleOf(path: string, body: unknown): Rule {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new NoPolicy()
  const all: unknown = 'capabilities' in body ? body.capabilities : []
  const word: unknown = 'policy' in body ? body.policy : undefined
  const isTexts = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((each) => typeof each === 'string')
  if (!isTexts(all)) throw new NoPolicy()
  const more = word === undefined ? [] : typeof word === 'string' ? WORDS[word] : undefined
  if (!more) throw new NoPolicy()
  const capabilities = [...new Set([...all, ...more])].sort()
  return { path, capabilities, isConditional: Object.keys(body).some((key) => CONDITIONS.test(key)) }
}

type Token = { readonly kind: 'text' | 'word' | 'sign'; readonly text: string }
const TOKEN = /(?:\s+|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/)|"((?:[^"\\\n]|\\.)*)"|([A-Za-z0-9_.+*/-]+)|([{}[\],=:])/y
const TOKENS_MAX = 200_000

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    const found = TOKEN.exec(text)
    if (!found || tokens.length > TOKENS_MAX) throw new NoPolicy()
    const [, quoted, word, sign] = found
    if (quoted !== undefined) tokens.push({ kind: 'text', text: unquoted(quoted) })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word })
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign })
  }
  return tokens
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(`"${text}"`))
  } catch {
    throw new NoPolicy()
  }
}

/** Values nest no deeper in a policy. */
const DEPTH_MAX = 20

class Reader {
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  document(): Record<string, unknown> {
    const found = this.#body(0, false)
    if (this.#at < this.#tokens.length) throw new NoPolicy()
    return found
  }

  /** `key = value`, `key { … }` and `key "label" { … }`; blocks of one key are kept side by side. */
  #body(depth: number, isInner: boolean): Record<string, unknown> {
    if (depth > DEPTH_MAX) throw new NoPolicy()
    const body = new Map<string, unknown>()
    while (this.#at < this.#tokens.length) {
      if (isInner && this.#is('}')) break
      const key = this.#next()
      if (key.kind === 'sign') throw new NoPolicy()
      const label = this.#tokens[this.#at]
      if (label?.kind === 'text') {
        this.#at += 1
        this.#expect('{')
        const before = body.get(key.text)
        body.set(key.text, [
          ...(Array.isArray(before) ? before : []),
          Object.fromEntries([[label.text, this.#block(depth)]]),
        ])
      } else if (this.#take('{')) body.set(key.text, this.#block(depth))
      else {
        if (!this.#take('=')) this.#expect(':')
        body.set(key.text, this.#value(depth))
      }
      this.#take(',')
    }
    return Object.fromEntries(body)
  }

  #block(depth: number): Record<string, unknown> {
    const body = this.#body(depth + 1, true)
    this.#expect('}')
    return body
  }

  #value(depth: number): unknown {
    if (depth > DEPTH_MAX) throw new NoPolicy()
    if (this.#take('{')) return this.#block(depth)
    if (!this.#take('[')) {
      const { kind, text } = this.#next()
      if (kind === 'sign') throw new NoPolicy()
      return text
    }
    const all: unknown[] = []
    while (!this.#take(']')) {
      all.push(this.#value(depth + 1))
      if (!this.#take(',') && !this.#is(']')) throw new NoPolicy()
    }
    return all
  }

  #next(): Token {
    const token = this.#tokens[this.#at]
    if (!token) throw new NoPolicy()
    this.#at += 1
    return token
  }

  #is(sign: string): boolean {
    const token = this.#tokens[this.#at]
    return token?.kind === 'sign' && token.text === sign
  }

  #take(sign: string): boolean {
    const is = this.#is(sign)
    if (is) this.#at += 1
    return is
  }

  #expect(sign: string): void {
    if (!this.#take(sign)) throw new NoPolicy()
  }
}
