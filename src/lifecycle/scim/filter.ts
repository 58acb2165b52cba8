import { ScimError } from './error.ts'
import { placeOf, type Place } from './path.ts'
import { valueAt } from './resource.ts'
import type { Attribute, ResourceType } from './schema.ts'

/**
 * RFC 7644 §3.4.2.2, read by hand into a tree and evaluated here: no text of a filter ever becomes SQL or a regular expression. Its length, its
 * depth and its number of terms are bounded, so its cost is.
 */
export type Filter =
  | { readonly kind: 'and' | 'or'; readonly left: Filter; readonly right: Filter }
  | { readonly kind: 'not'; readonly of: Filter }
  | { readonly kind: 'present'; readonly on: Place }
  | { readonly kind: 'compare'; readonly on: Place; readonly operator: Operator; readonly value: Literal }
  | { readonly kind: 'some'; readonly on: Attribute; readonly extension: Place['extension']; readonly of: Filter }

const OPERATORS = ['eq', 'ne', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le'] as const
type Operator = (typeof OPERATORS)[number]
type Literal = string | number | boolean | null

const LONGEST = 4_096
const DEEPEST = 12
const MOST_TERMS = 50

/** Throws `invalidFilter`. */
export function parseFilter(type: ResourceType, text: string): Filter {
  return new Reading(text, (name) => placeOf(type, name)).whole()
}

/** What stands in brackets after an attribute: names are of its parts. */
export function parseValueFilter(attribute: Attribute, text: string): Filter {
  return new Reading(text, (name) => partOf(attribute, name)).whole()
}

function partOf(of: Attribute, name: string): Place | undefined {
  const attribute = of.subAttributes?.find((each) => each.name.toLowerCase() === name.toLowerCase())
  return attribute && { extension: undefined, attribute, sub: undefined }
}

class Reading {
  readonly #text: string
  #place: (name: string) => Place | undefined
  #at = 0
  #depth = 0
  #terms = 0

  constructor(text: string, place: (name: string) => Place | undefined) {
    if (text.length > LONGEST) throw wrong('The filter is too long.')
    this.#text = text
    this.#place = place
  }

  whole(): Filter {
    const filter = this.#or()
    if (this.#peek() !== '') throw wrong('The filter goes on where it should end.')
    return filter
  }

  #or(): Filter {
    let left = this.#and()
    while (this.#word('or')) left = { kind: 'or', left, right: this.#and() }
    return left
  }

  #and(): Filter {
    let left = this.#term()
    while (this.#word('and')) left = { kind: 'and', left, right: this.#term() }
    return left
  }

  #term(): Filter {
    this.#terms += 1
    if (this.#terms > MOST_TERMS) throw wrong('The filter has too many terms.')
    if (this.#word('not')) {
      if (this.#peek() !== '(') throw wrong('What is negated stands in parentheses.')
      return { kind: 'not', of: this.#nested('(', ')') }
    }
    return this.#peek() === '(' ? this.#nested('(', ')') : this.#comparison()
  }

  #nested(open: string, close: string): Filter {
    this.#depth += 1
    if (this.#depth > DEEPEST) throw wrong('The filter is nested too deeply.')
    this.#take(open)
    const inner = this.#or()
    this.#take(close)
    this.#depth -= 1
    return inner
  }

  #comparison(): Filter {
    const on = this.#place(this.#name())
    if (!on) throw wrong('The filter names no attribute of the resource.')
    if (this.#peek() === '[') return this.#valuePath(on)
    const operator = this.#name().toLowerCase()
    if (operator === 'pr') return { kind: 'present', on }
    const known = OPERATORS.find((each) => each === operator)
    if (!known) throw wrong('The filter has an operator that there is not.')
    return { kind: 'compare', on, operator: known, value: this.#literal() }
  }

  #valuePath({ attribute, sub, extension }: Place): Filter {
    if (sub || !attribute.multiValued || !attribute.subAttributes) {
      throw wrong('The filter selects from what is no list of values.')
    }
    const before = this.#place
    this.#place = (name) => partOf(attribute, name)
    const of = this.#nested('[', ']')
    this.#place = before
    return { kind: 'some', on: attribute, extension, of }
  }

  #literal(): Literal {
    if (this.#peek() === '"') return this.#string()
    const word = this.#name()
    const lower = word.toLowerCase()
    if (lower === 'true' || lower === 'false') return lower === 'true'
    if (lower === 'null') return null
    const number = Number(word)
    if (!Number.isFinite(number)) throw wrong('A value of the filter is neither text, number, true, false nor null.')
    return number
  }

  #string(): string {
    const start = this.#at
    for (let at = start + 1; at < this.#text.length; at += this.#text[at] === '\\' ? 2 : 1) {
      if (this.#text[at] !== '"') continue
      this.#at = at + 1
      try {
        const text: unknown = JSON.parse(this.#text.slice(start, this.#at))
        if (typeof text === 'string') return text
      } catch (error) {
        throw new ScimError(400, 'invalidFilter', 'A text of the filter is not well-formed.', { cause: error })
      }
    }
    throw wrong('A text of the filter does not end.')
  }

  /** A run of letters that separates nothing; URNs hold colons and dots. */
  #name(): string {
    this.#skip()
    const start = this.#at
    while (this.#at < this.#text.length && !' ()[]"'.includes(this.#text.charAt(this.#at))) this.#at += 1
    if (start === this.#at) throw wrong('The filter ends, or has a sign, where a name should stand.')
    return this.#text.slice(start, this.#at)
  }

  /** Takes a word if it is the next one. */
  #word(word: string): boolean {
    this.#skip()
    const end = this.#at + word.length
    const isIt = this.#text.slice(this.#at, end).toLowerCase() === word && ' ('.includes(this.#text[end] ?? 'x')
    if (isIt) this.#at = end
    return isIt
  }

  #take(sign: string): void {
    if (this.#peek() !== sign) throw wrong('The parentheses or brackets of the filter do not match.')
    this.#at += 1
  }

  #peek(): string {
    this.#skip()
    return this.#text.charAt(this.#at)
  }

  #skip(): void {
    while (this.#text[this.#at] === ' ') this.#at += 1
  }
}

function wrong(detail: string): ScimError {
  return new ScimError(400, 'invalidFilter', detail)
}

/** Whether a resource, or one value of a list, is what the filter asks for. */
export function matches(filter: Filter, resource: Readonly<Record<string, unknown>>): boolean {
  switch (filter.kind) {
    case 'and':
      return matches(filter.left, resource) && matches(filter.right, resource)
    case 'or':
      return matches(filter.left, resource) || matches(filter.right, resource)
    case 'not':
      return !matches(filter.of, resource)
    case 'present':
      return valuesOf(filter.on, resource).some(isPresent)
    case 'some': {
      const place = { attribute: filter.on, extension: filter.extension, sub: undefined }
      return valuesOf(place, resource).some((value) => isObject(value) && matches(filter.of, value))
    }
    case 'compare':
    default: {
      const isEqual = filter.operator === 'ne' || filter.operator === 'eq'
      const values = valuesOf(filter.on, resource)
      const found = (values.length === 0 && isEqual ? [null] : values).some((value) =>
        holds(filter.operator === 'ne' ? 'eq' : filter.operator, value, filter.value, isExact(filter.on)),
      )
      return filter.operator === 'ne' ? !found : found
    }
  }
}

/** The values at a place; of a list of complex values without a named part, their `value` (RFC 7644 §3.4.2.2). */
export function valuesOf({ extension, attribute, sub }: Place, resource: Readonly<Record<string, unknown>>): unknown[] {
  const value = valueAt(resource, extension, attribute)
  const all = Array.isArray(value) ? value : value === undefined || value === null ? [] : [value]
  if (sub) return all.flatMap((each) => (isObject(each) && each[sub.name] !== undefined ? [each[sub.name]] : []))
  return all
}

function isExact({ attribute, sub }: Place): boolean {
  return (sub ?? attribute).caseExact
}

function isPresent(value: unknown): boolean {
  return value !== null && value !== undefined && value !== '' && !(isObject(value) && Object.keys(value).length === 0)
}

function holds(operator: Operator, raw: unknown, literal: Literal, exact: boolean): boolean {
  const value = isObject(raw) ? raw['value'] : raw
  if (typeof value === 'boolean') {
    const wanted = typeof literal === 'string' ? literal.toLowerCase() === 'true' : literal
    return operator === 'eq' && value === wanted
  }
  if (value === null || literal === null || typeof value !== 'string' || typeof literal !== 'string') {
    return operator === 'eq' && (value ?? null) === literal
  }
  const fold = (text: string) => (exact ? text : text.toLowerCase())
  return compared(operator, fold(value), fold(literal))
}

function compared(operator: Operator, a: string, b: string): boolean {
  switch (operator) {
    case 'eq':
      return a === b
    case 'ne':
      return a !== b
    case 'co':
      return a.includes(b)
    case 'sw':
      return a.startsWith(b)
    case 'ew':
      return a.endsWith(b)
    case 'gt':
      return a > b
    case 'ge':
      return a >= b
    case 'lt':
      return a < b
    case 'le':
    default:
      return a <= b
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A text that the filter demands of an attribute whatever else it says: what an index can narrow rows by. */
export function demanded(filter: Filter, name: string): string | undefined {
  if (filter.kind === 'and') return demanded(filter.left, name) ?? demanded(filter.right, name)
  const isIt = filter.kind === 'compare' && filter.operator === 'eq' && filter.on.attribute.name === name
  return isIt && !filter.on.extension && typeof filter.value === 'string' ? filter.value : undefined
}
