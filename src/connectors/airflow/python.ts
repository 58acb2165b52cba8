/**
 * Which connections and variables the file of a DAG names. It is not run and not understood: only a name that stands there as a literal is found,
 * and what stands in a comment is not.
 */
export type Named = {
  readonly kind: 'connection' | 'variable'
  readonly name: string
  readonly line: number
}
export type Names = {
  readonly named: readonly Named[]
  /** Places that name a connection by something that is only known when it runs. */
  readonly computed: number
  readonly isCut: boolean
}

/** Longer files are made, not written. */
const FILE_MAX = 500_000
const NAMES_MAX = 2_000

/**
 * Python 3 language reference §2: comments, strings of both quotes and lengths, names; the rest by character. A string that does not end goes to the
 * end of its line or of the file, so that no place is looked at twice.
 */
const TOKEN =
  /#[^\n]*|"""(?:\\[^]|(?!""")[^\\])*(?:"""|\\?$)|'''(?:\\[^]|(?!''')[^\\])*(?:'''|\\?$)|"(?:\\[^]|[^"\\\n])*(?:"|\\?$|(?=\n))|'(?:\\[^]|[^'\\\n])*(?:'|\\?$|(?=\n))|[\p{L}_][\p{L}\p{N}_]*|\s+|[^]/gu

type Token = { readonly text: string; readonly at: number }

const IS_NAME = /^[\p{L}_]/u
/** Of connections as of variables, Airflow asks for no more than that they are not too long; those that are looked for are as people write them. */
const ID = /^[\w.:/@ -]{1,250}$/
const GETS = new Set(['get_connection', 'get_hook', 'get_connection_from_secrets'])

export function namesIn(source: string): Names {
  const found: Omit<Named, 'line'>[] = []
  const places: number[] = []
  let computed = 0
  const add = (kind: Named['kind'], name: string, at: number) => {
    if (found.length >= NAMES_MAX || !ID.test(name)) return
    found.push({ kind, name })
    places.push(at)
  }
  const tokens = tokensOf(source.slice(0, FILE_MAX))
  const valueAt = (i: number) => (goesOn(tokens[i + 1]?.text ?? '') ? undefined : literalOf(tokens[i]?.text ?? ''))
  for (const [i, { text, at }] of tokens.entries()) {
    const [next, after] = [tokens[i + 1]?.text ?? '', tokens[i + 2]?.text ?? '']
    // `f("name")` and `f(conn_id="name")`.
    const given = tokens[i + 3]?.text === '=' ? i + 4 : i + 2
    const literal = literalOf(text)
    if (literal !== undefined) {
      if (/(?:^|_)conn_id$/.test(literal) && next === ':') {
        const value = valueAt(i + 2)
        if (value !== undefined) add('connection', value, at)
      }
      for (const { kind, name } of templated(literal)) add(kind, name, at)
    } else if (/(?:^|_)conn_id$/.test(text) && next === '=' && after !== '=') {
      const value = valueAt(i + 2)
      if (value !== undefined) add('connection', value, at)
      else if (after !== 'None') computed += 1
    } else if (next === '(' && (GETS.has(text) || isGetOf(tokens, i, 'Connection'))) {
      const value = valueAt(given)
      // A definition has names there, and a call of what was found before something else than a literal.
      if (value !== undefined) add('connection', value, at)
      else if (after !== ')' && tokens[i - 1]?.text !== 'def' && !after.endsWith('conn_id')) computed += 1
    } else if (next === '(' && isGetOf(tokens, i, 'Variable')) {
      const value = valueAt(given)
      if (value !== undefined) add('variable', value, at)
    }
  }
  return { named: withLines(source, found, places), computed, isCut: source.length > FILE_MAX }
}

function isGetOf(tokens: readonly Token[], i: number, of: string): boolean {
  return tokens[i]?.text === 'get' && tokens[i - 1]?.text === '.' && tokens[i - 2]?.text === of
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = []
  for (const { 0: text, index } of source.matchAll(TOKEN)) if (!/^[\s#]/.test(text)) tokens.push({ text, at: index })
  return tokens
}

/** What makes something else of a string: put together with others, looked into, called upon, or one of two. */
function goesOn(next: string): boolean {
  return ['+', '%', '.', '[', '*', 'if', 'or', 'and'].includes(next) || /^["']/.test(next)
}

/** A string without a prefix before it: one that is put together (`f`) is a name and a string, and is none. */
function literalOf(text: string): string | undefined {
  if (IS_NAME.test(text) || !/^["']/.test(text) || text.length < 2) return undefined
  const quotes = /^("""|''')/.test(text) && text.length >= 6 ? 3 : 1
  return text.endsWith(text.slice(0, quotes)) ? text.slice(quotes, -quotes) : undefined
}

const IN_TEMPLATE: readonly (readonly [Named['kind'], RegExp])[] = [
  ['connection', /\bconn\.(?!get\b)([A-Za-z_]\w*)/g],
  ['connection', /\bconn(?:\.get\(\s*|\[\s*)["']([^"']{1,250})["']/g],
  ['variable', /\bvar\.(?:value|json)\.(?!get\b)([A-Za-z_]\w*)/g],
  ['variable', /\bvar\.(?:value|json)(?:\.get\(\s*|\[\s*)["']([^"']{1,250})["']/g],
]

/** Jinja, as Airflow's templates have it: `{{ conn.warehouse.login }}`, `{{ var.value.region }}`. */
function templated(literal: string): Omit<Named, 'line'>[] {
  if (!literal.includes('{{') && !literal.includes('{%')) return []
  return IN_TEMPLATE.flatMap(([kind, pattern]) =>
    [...literal.matchAll(pattern)].map(([, name = '']) => ({ kind, name })),
  )
}

function withLines(source: string, found: readonly Omit<Named, 'line'>[], places: readonly number[]): Named[] {
  let [line, at] = [1, 0]
  return found.map((each, i) => {
    const place = places[i] ?? at
    for (let next = source.indexOf('\n', at); next !== -1 && next < place; next = source.indexOf('\n', at)) {
      line += 1
      at = next + 1
    }
    return { ...each, line }
  })
}
