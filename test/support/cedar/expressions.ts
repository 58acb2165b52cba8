import { pick, seldom, several, type Choices } from './choices.ts'
import { BAD_TEXTS, idOf, LONGS, STRINGS, TAG_NAMES, TEXTS, typeName } from './data.ts'
import { ENTITY_NAMES, kindOf, type EntityName, type Fields, type GeneratedSchema, type Kind } from './schemas.ts'

/** Whole numbers that JSON as JavaScript reads it can't hold. */
const HUGE = ['9223372036854775807', '-9223372036854775808', '9007199254740993', '4611686018427387904'] as const

const BOOLEAN: Kind = { kind: 'boolean' }
const LONG: Kind = { kind: 'long' }

/** Writes policies in the language: most of them sensible, some with errors of every kind. */
export class ExpressionWriter {
  readonly #choices: Choices
  readonly #schema: GeneratedSchema

  constructor(choices: Choices, schema: GeneratedSchema) {
    this.#choices = choices
    this.#schema = schema
  }

  /** An expression that, if nothing errs, is of the kind; seldom one of another. */
  write(kind: Kind, depth: number): string {
    const choices = this.#choices
    const wanted = seldom(choices, 30) ? kindOf(choices, 1) : kind
    if (depth <= 0) return choices.below(2) === 0 ? this.#path(wanted) : this.#literal(wanted)
    const what = choices.below(10)
    if (what === 0)
      return `(if ${this.write(BOOLEAN, depth - 1)} then ${this.write(wanted, depth - 1)} else ${this.write(wanted, depth - 1)})`
    if (what < 4) return this.#path(wanted)
    if (what === 4) return this.#literal(wanted)
    return this.#operation(wanted, depth - 1)
  }

  #operation(kind: Kind, depth: number): string {
    switch (kind.kind) {
      case 'boolean':
        return this.#test(depth)
      case 'long':
        return this.#number(depth)
      case 'set':
        return `[${several(this.#choices, 3, () => this.write(kind.of, depth)).join(', ')}]`
      case 'record':
        return `{${[...kind.fields].map(([name, field]) => `${quoted(name)}: ${this.write(field.kind, depth)}`).join(', ')}}`
      case 'datetime': {
        const from = this.write(kind, depth)
        return seldom(this.#choices, 2)
          ? `${from}.toDate()`
          : `${from}.offset(${this.write({ kind: 'duration' }, depth)})`
      }
      case 'duration': {
        const from = this.write({ kind: 'datetime' }, depth)
        return seldom(this.#choices, 2)
          ? `${from}.toTime()`
          : `${from}.durationSince(${this.write({ kind: 'datetime' }, depth)})`
      }
      case 'entity':
      case 'string':
      case 'decimal':
      case 'ipaddr':
        break
    }
    return this.#path(kind)
  }

  #number(depth: number): string {
    const choices = this.#choices
    const what = choices.below(4)
    if (what === 0) return `(-${this.write(LONG, depth)})`
    if (what === 1) {
      const method = pick(choices, ['toMilliseconds', 'toSeconds', 'toMinutes', 'toHours', 'toDays'])
      return `${this.write({ kind: 'duration' }, depth)}.${method}()`
    }
    return `(${this.write(LONG, depth)} ${pick(choices, ['+', '-', '*'])} ${this.write(LONG, depth)})`
  }

  #test(depth: number): string {
    const choices = this.#choices
    const side = (kind: Kind) => this.write(kind, depth)
    const kind = kindOf(choices, 1)
    const set: Kind = { kind: 'set', of: kind }
    const entity: Kind = { kind: 'entity', name: pick(choices, ENTITY_NAMES) }
    switch (choices.below(15)) {
      case 0:
        return `(${side(BOOLEAN)} && ${side(BOOLEAN)})`
      case 1:
        return `(${side(BOOLEAN)} || ${side(BOOLEAN)})`
      case 2:
        return `(!${side(BOOLEAN)})`
      case 3:
        return `(${side(kind)} ${pick(choices, ['==', '!='])} ${side(kind)})`
      case 4: {
        const ordered: Kind = pick(choices, [LONG, { kind: 'datetime' }, { kind: 'duration' }])
        return `(${side(ordered)} ${pick(choices, ['<', '<=', '>', '>='])} ${side(ordered)})`
      }
      case 5:
        return `(${side(entity)} in ${this.#uid(pick(choices, ENTITY_NAMES))})`
      case 6:
        return `(${side(entity)} in ${side({ kind: 'set', of: entity })})`
      case 7:
        return `(${side(entity)} is ${this.#type()}${seldom(choices, 3) ? ` in ${side(entity)}` : ''})`
      case 8:
        return `${side(set)}.contains(${side(kind)})`
      case 9:
        return `${side(set)}.${pick(choices, ['containsAll', 'containsAny'])}(${side(set)})`
      case 10:
        return `${side(set)}.isEmpty()`
      case 11:
        return `(${side({ kind: 'string' })} like ${this.#pattern()})`
      case 12:
        return this.#has()
      case 13:
        return `${side(entity)}.hasTag(${side({ kind: 'string' })})`
      default:
        return this.#extensionTest(depth)
    }
  }

  #extensionTest(depth: number): string {
    const choices = this.#choices
    if (choices.below(2) === 0) {
      const method = pick(choices, ['lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual'])
      return `${this.write({ kind: 'decimal' }, depth)}.${method}(${this.write({ kind: 'decimal' }, depth)})`
    }
    const address = this.write({ kind: 'ipaddr' }, depth)
    if (seldom(choices, 3)) return `${address}.isInRange(${this.write({ kind: 'ipaddr' }, depth)})`
    return `${address}.${pick(choices, ['isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'])}()`
  }

  #has(): string {
    const holder = this.#holder()
    const names = holder.fields.size > 0 ? [...holder.fields.keys()] : ['a']
    const name = seldom(this.#choices, 4) ? 'b' : pick(this.#choices, names)
    // The longer form takes identifiers only.
    if (/^[a-z]+$/i.test(name) && seldom(this.#choices, 3))
      return `(${holder.text} has ${name}.${pick(this.#choices, ['a', 'n', 'toString'])})`
    return `(${holder.text} has ${quoted(name)})`
  }

  #holder(): { text: string; fields: Fields } {
    const { attributes, contexts } = this.#schema
    const choices = this.#choices
    const text = pick(choices, [
      'principal',
      'resource',
      'context',
      'action',
      this.#uid(pick(choices, ENTITY_NAMES)),
    ] as const)
    if (text === 'context') return { text, fields: contexts[pick(choices, ['view', 'edit'])] ?? new Map() }
    return {
      text,
      fields:
        attributes[pick(choices, text === 'resource' ? (['Doc', 'Folder'] as const) : (['User', 'Group'] as const))],
    }
  }

  /** A way to a value of the kind through attributes, if the schema has one that is found quickly. */
  #path(kind: Kind): string {
    if (kind.kind === 'entity' && this.#choices.below(2) === 0)
      return pick(this.#choices, ['principal', 'resource', 'action'])
    if (seldom(this.#choices, 12))
      return `${pick(this.#choices, ['principal', 'resource'])}.getTag(${quoted(pick(this.#choices, TAG_NAMES))})`
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const found = this.#pathFrom(this.#holder(), kind)
      if (found !== undefined) return found
    }
    return this.#literal(kind)
  }

  #pathFrom({ text, fields }: { text: string; fields: Fields }, kind: Kind, steps = 3): string | undefined {
    const matching = [...fields].filter(([, field]) => field.kind.kind === kind.kind)
    const [name, field] = matching[this.#choices.below(matching.length + 1)] ?? []
    if (name !== undefined && field !== undefined) {
      const found = `${text}[${quoted(name)}]`
      // What may be absent is mostly asked for first, as the validator wants it.
      return field.required || seldom(this.#choices, 3)
        ? found
        : `(if ${text} has ${quoted(name)} then ${found} else ${this.#literal(kind)})`
    }
    if (steps === 0) return undefined
    for (const [outer, { kind: inner }] of fields) {
      const holder = `${text}[${quoted(outer)}]`
      if (inner.kind === 'record') return this.#pathFrom({ text: holder, fields: inner.fields }, kind, steps - 1)
      if (inner.kind === 'entity')
        return this.#pathFrom({ text: holder, fields: this.#schema.attributes[inner.name] }, kind, steps - 1)
    }
    return undefined
  }

  #literal(kind: Kind): string {
    const choices = this.#choices
    switch (kind.kind) {
      case 'long':
        return seldom(choices, 6) ? pick(choices, HUGE) : String(pick(choices, LONGS))
      case 'string':
        return quoted(pick(choices, STRINGS))
      case 'boolean':
        return pick(choices, ['true', 'false'])
      case 'entity':
        return this.#uid(kind.name)
      case 'set':
        return `[${several(choices, 3, () => this.#literal(kind.of)).join(', ')}]`
      case 'record':
        return `{${[...kind.fields].map(([name, field]) => `${quoted(name)}: ${this.#literal(field.kind)}`).join(', ')}}`
      case 'decimal':
      case 'ipaddr':
      case 'datetime':
      case 'duration':
        break
    }
    return this.#extensionLiteral(kind.kind)
  }

  #extensionLiteral(kind: keyof typeof TEXTS): string {
    const text = pick(this.#choices, seldom(this.#choices, 10) ? BAD_TEXTS[kind] : TEXTS[kind])
    return `${kind === 'ipaddr' ? 'ip' : kind}(${quoted(text)})`
  }

  #type(): string {
    return typeName(this.#schema, pick(this.#choices, ENTITY_NAMES))
  }

  #uid(name: EntityName): string {
    return `${typeName(this.#schema, name)}::${quoted(idOf(this.#choices, name))}`
  }

  #pattern(): string {
    const parts = several(this.#choices, 4, () => pick(this.#choices, ['*', '*', 'a', 'b', '\\*', '\\u{e9}', '\\\\']))
    return `"${parts.join('')}"`
  }
}

/** A text as a literal of the language. */
export function quoted(text: string): string {
  const escaped = Array.from(text, (each) =>
    /[\w -]/.test(each) ? each : `\\u{${(each.codePointAt(0) ?? 0).toString(16)}}`,
  )
  return `"${escaped.join('')}"`
}
