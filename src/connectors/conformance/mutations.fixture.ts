/** Every way in which one place of an answer is something else than it was: of each leaf and each container in turn, in JSON and in XML. */

export type Mutant = {
  /** Where, as the API names it: `items[].name`. */
  readonly path: string
  readonly kind: string
  /**
   * `alien`: the place holds another type than it did, which no reading of an API takes for an answer. `absent`: a field is not there, or null.
   * `other`: an answer that says something else, as the source may.
   */
  readonly change: 'alien' | 'absent' | 'other'
  readonly body: () => Buffer
}

const LONG = 1024 * 1024
const DEEP = 100_000
const HERE = '@@here@@'

/** As JSON writes them, with the type they have there. */
const VALUES: Readonly<Record<string, { readonly type: string; readonly raw: () => string }>> = {
  null: { type: 'null', raw: () => 'null' },
  'a number': { type: 'number', raw: () => '7' },
  'a negative number': { type: 'number', raw: () => '-1' },
  'a number beyond all': { type: 'number', raw: () => '1e308' },
  'a number that no double holds': { type: 'number', raw: () => '9007199254740993' },
  'a truth': { type: 'boolean', raw: () => 'true' },
  'a string': { type: 'string', raw: () => '"x"' },
  'an empty string': { type: 'string', raw: () => '""' },
  'a string of a megabyte': { type: 'string', raw: () => `"${'y'.repeat(LONG)}"` },
  'a list': { type: 'array', raw: () => '[]' },
  'a list of null': { type: 'nulls', raw: () => '[null]' },
  'an object': { type: 'object', raw: () => '{}' },
  'an object with the keys of all': {
    type: 'object',
    raw: () => '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"a":1,"a":2}',
  },
  'a deep list': { type: 'array', raw: () => '['.repeat(DEEP) + ']'.repeat(DEEP) },
}

type Place = { readonly steps: readonly (string | number)[]; readonly type: string }

/** Mutants of a JSON text; of a list the first and the last item. None of what is no JSON. */
function jsonMutants(text: string): Mutant[] {
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch {
    return []
  }
  const places = [...placesOf(root, [])]
  return places.flatMap(({ steps, type }) => {
    const path = steps
      .map((step) => (typeof step === 'number' ? '[]' : `.${step}`))
      .join('')
      .replace(/^\./, '')
    const others = Object.entries(VALUES).map(([kind, value]) => ({
      path,
      kind,
      change: changeOf(type, { ...value, isInList: typeof steps.at(-1) === 'number' }),
      body: () => Buffer.from(JSON.stringify(replaced(root, steps, HERE)).replace(`"${HERE}"`, () => value.raw())),
    }))
    const without = {
      path,
      kind: 'left out',
      change: typeof steps.at(-1) === 'number' ? ('other' as const) : ('absent' as const),
      body: () => Buffer.from(JSON.stringify(replaced(root, steps, undefined)) ?? ''),
    }
    return steps.length === 0 ? others : [...others, without]
  })
}

function changeOf(
  before: string,
  { type, isInList }: { readonly type: string; readonly isInList: boolean },
): Mutant['change'] {
  if (type === 'null' && !isInList) return 'absent'
  return before === 'null' || type === before ? 'other' : 'alien'
}

function* placesOf(value: unknown, steps: readonly (string | number)[]): Generator<Place> {
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  yield { steps, type }
  if (Array.isArray(value)) {
    const all: readonly unknown[] = value
    for (const at of new Set([0, all.length - 1])) if (at in all) yield* placesOf(all[at], [...steps, at])
  } else if (typeof value === 'object' && value !== null)
    for (const [key, inner] of Object.entries(value)) yield* placesOf(inner, [...steps, key])
}

/** The same with another value at a place; `undefined` leaves it out. */
function replaced(value: unknown, [step, ...steps]: readonly (string | number)[], by: unknown): unknown {
  if (step === undefined) return by
  if (Array.isArray(value)) {
    const all: readonly unknown[] = value
    return all.flatMap((inner, at) => {
      if (at !== step) return [inner]
      return steps.length === 0 && by === undefined ? [] : [replaced(inner, steps, by)]
    })
  }
  return Object.fromEntries(
    Object.entries(Object(value)).map(([key, inner]) => [key, key === step ? replaced(inner, steps, by) : inner]),
  )
}

const ELEMENT = /<([A-Za-z][\w.-]*)(?:\s[^<>]*)?>([^<]*)<\/\1>|<([A-Za-z][\w.-]*)(?:\s[^<>]*)?>/g

/** Mutants of XML: of each kind of element with text, and of each that holds others, the first there is. */
function xmlMutants(text: string): Mutant[] {
  const seen = new Set<string>()
  const mutants: Mutant[] = []
  for (const found of text.matchAll(ELEMENT)) {
    const [whole, leaf, inner = '', branch] = found
    const name = leaf ?? branch ?? ''
    const from = found.index
    const to = leaf === undefined ? text.indexOf(`</${name}>`, from) + name.length + 3 : from + whole.length
    const key = `${name} ${leaf === undefined ? 'holds' : 'says'}`
    if (seen.has(key) || to <= from) continue
    seen.add(key)
    const by = (instead: string) => () => Buffer.from(`${text.slice(0, from)}${instead}${text.slice(to)}`)
    const says = (kind: string, isAlien: boolean, of: () => string) =>
      mutants.push({
        path: name,
        kind,
        change: isAlien ? 'alien' : 'other',
        body: () => by(`<${name}>${of()}</${name}>`)(),
      })
    mutants.push({ path: name, kind: 'left out', change: name === 'member' ? 'other' : 'absent', body: by('') })
    mutants.push({
      path: name,
      kind: 'another name',
      change: name === 'member' ? 'alien' : 'absent',
      body: by(`<Other>${inner}</Other>`),
    })
    says('nothing', false, () => '')
    says('an element', leaf !== undefined && inner !== '', () => '<a><b>1</b></a>')
    says('a text', leaf === undefined, () => 'x')
    says('a string of a megabyte', false, () => 'y'.repeat(LONG))
    says('a deep element', leaf !== undefined && inner !== '', () => '<a>'.repeat(10_000) + '</a>'.repeat(10_000))
    says('not closed', true, () => '<a>')
  }
  return mutants
}

export function mutantsOf(body: Buffer): Mutant[] {
  const text = body.toString('utf8')
  return /^\s*</.test(text) ? xmlMutants(text) : jsonMutants(text)
}

/** The same sample for the same seed (Fisher and Yates, with the generator of Park and Miller). */
export function sampled<T>(all: readonly T[], most: number, seed: number): T[] {
  const rest = [...all]
  let state = seed
  const taken: T[] = []
  while (taken.length < most && rest.length > 0) {
    state = (state * 48_271) % 2_147_483_647
    const at = state % rest.length
    const last = rest.pop()
    const [one] = at === rest.length ? [last] : rest.splice(at, 1, ...(last === undefined ? [] : [last]))
    if (one !== undefined) taken.push(one)
  }
  return taken
}
