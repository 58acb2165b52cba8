import type { Verdict } from '../check/verdict.ts'

/** How sure a match of a rule is before anything about its place is known. */
export type Confidence = 'high' | 'medium' | 'low'

/**
 * One type of credential, as data. Every match holds one of the anchors, and the pattern is tried from there on and nowhere else; it has no
 * quantifier without an upper bound, so that what one place costs is bounded.
 */
export type Rule = {
  readonly id: string
  readonly what: string
  readonly issuer: string
  /** Literals of three bytes or more, found in any case of letters. */
  readonly anchors: readonly string[]
  /** From the anchor on; `(?<s>…)` is the secret, or else the whole match is. */
  readonly pattern: RegExp
  /** What stands before the anchor and belongs to the match. */
  readonly before?: RegExp
  /** How many bytes from the anchor on the pattern may look at. */
  readonly spanBytes?: number
  /** The match may begin in the middle of a word; or only where a part of it does, as in `myOktaToken` and not in `rookTable`. */
  readonly isInWord?: boolean | 'as a part of it'
  /** Bytes that must not follow; letters and digits unless said otherwise. */
  readonly notBefore?: RegExp
  readonly confidence: Confidence
  /** Looks at what the pattern cannot: checksums, structure, expiry. Undefined refuses the match. */
  readonly check?: (secret: string, found: Found) => Verdict | undefined
  /** Only in files whose path fits. */
  readonly files?: RegExp
}

/** What a check may look at besides the secret. */
export type Found = {
  readonly match: string
  /** Bytes before and after the match, a few hundred at most. */
  readonly before: string
  readonly after: string
  readonly now: Date
}

/** Fits nothing: anything may stand behind such a match. */
export const NOTHING = /(?!)/

type Options = Partial<Omit<Rule, 'id' | 'what' | 'issuer' | 'anchors' | 'pattern'>>

/** `[id, what, issuer, anchors, pattern, options]`: how the tables of the families are written. */
export type Row = readonly [
  id: string,
  what: string,
  issuer: string,
  anchors: string | readonly string[],
  pattern: RegExp,
  options?: Options,
]

/** A format that its own prefix gives away. */
export function tokens(rows: readonly Row[]): Rule[] {
  return rows.map(([id, what, issuer, anchors, pattern, options]) => ({
    id,
    what,
    issuer,
    pattern,
    confidence: 'high' as const,
    anchors: typeof anchors === 'string' ? [anchors] : anchors,
    ...options,
  }))
}

/** From a name to its value: the rest of the name, quotes, and what assigns. */
const BRIDGE = String.raw`[\w.\- ]{0,28}[\\"'\]\x60]{0,4}[ \t]{0,4}(?:=>|={1,2}|:{0,3}=|[?.+]=|:|,|\(|>(?:\r?\n)?)[ \t]{0,12}[\\"'\x60]{0,4}`

/** Names of so few letters stand in other words too. */
const SHORT_NAME = 5

/** As parts of names are written: `okta`, `OKTA`, `Okta`. */
function casesOf(name: string): string[] {
  return [...new Set([name, name.toUpperCase(), name.slice(0, 1).toUpperCase() + name.slice(1)])]
}

const escaped = (name: string): string => name.replaceAll(/[.+]/g, String.raw`\$&`)

/** A format that is nothing but random characters, told by the name it is assigned to. */
export function named(rows: readonly Row[]): Rule[] {
  return rows.map(([id, what, issuer, names, pattern, options]) => {
    const anchors = typeof names === 'string' ? [names] : names
    const isShort = anchors.some((name) => name.length <= SHORT_NAME)
    const any = anchors
      .flatMap((name) => (isShort ? casesOf(name) : [name]))
      .map(escaped)
      .join('|')
    return {
      id,
      what,
      issuer,
      anchors,
      confidence: 'medium' as const,
      isInWord: isShort ? ('as a part of it' as const) : true,
      pattern: new RegExp(`(?${isShort ? '' : 'i'}:${any})${BRIDGE}(?<s>${pattern.source})`),
      ...options,
    }
  })
}
