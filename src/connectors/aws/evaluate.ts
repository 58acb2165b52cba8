/**
 * Whether IAM would let something be done, as far as its own policies tell it: a denial beats every permission, a boundary only takes away, and what
 * depends on the moment of use is not guessed but said to depend on it (IAM User Guide, "Policy evaluation logic"). Policies of the organisation and
 * of sessions are not seen here and can take away more.
 */
import type { Statement } from './document.ts'
import { isLike } from './glob.ts'

/** Yes, no, or only under conditions that are known when it is used, named by their keys. */
export type Answer =
  | { readonly is: 'yes' }
  | { readonly is: 'no' }
  | { readonly is: 'depends'; readonly on: readonly string[] }

export const YES: Answer = { is: 'yes' }
export const NO: Answer = { is: 'no' }

export type Asked = {
  /** Such as `iam:PassRole`. */
  readonly action: string
  /** Its ARN; undefined for whether there is any thing at all that it may be done to. */
  readonly resource: string | undefined
  /** What is known of the context, by its key in lower case: `aws:principalarn`. */
  readonly context: Readonly<Record<string, string>>
}

/** What decides over one principal: a policy that was not understood is undefined. */
export type Policies = {
  readonly identity: readonly (readonly Statement[] | undefined)[]
  /** Undefined where it has none; a list of undefined where it has one that was not seen. */
  readonly boundary: readonly (readonly Statement[] | undefined)[] | undefined
}

const UNREAD_RESOURCES: Answer = { is: 'depends', on: ['which resources a denial leaves out'] }
export const UNREAD: Answer = { is: 'depends', on: ['a policy that was not understood'] }

/** Deny over allow, within the boundary. */
export function decide({ identity, boundary }: Policies, asked: Asked): Answer {
  const all = [...identity, ...(boundary ?? [])]
  return both(notDenied(all, asked), both(allowed(identity, asked), within(boundary, asked)))
}

/** Where there is no boundary, everything is within it. Of any thing at all both sides have to mean the same one. */
export function within(boundary: Policies['boundary'], asked: Asked): Answer {
  if (!boundary) return YES
  const some = allowed(boundary, asked)
  if (asked.resource !== undefined || some.is === 'no') return some
  return either(allowed(boundary, { ...asked, resource: '*' }), {
    is: 'depends',
    on: ['a resource within the boundary'],
  })
}

/** What a denial leaves over: the half that holds for a policy at a resource too, which a boundary does not narrow. */
export function notDenied(policies: readonly (readonly Statement[] | undefined)[], asked: Asked): Answer {
  const denials = policies.map((statements) => (statements ? matches(statements, false, asked) : UNREAD))
  return not(denials.reduce(either, NO))
}

export function allowed(policies: readonly (readonly Statement[] | undefined)[], asked: Asked): Answer {
  return policies.map((statements) => (statements ? matches(statements, true, asked) : UNREAD)).reduce(either, NO)
}

function matches(statements: readonly Statement[], isAllow: boolean, asked: Asked): Answer {
  return statements
    .filter((statement) => statement.isAllow === isAllow)
    .map((statement) => holds(statement, asked))
    .reduce(either, NO)
}

/** Whether one statement is about this. */
function holds({ isAllow, actions, resources, conditions }: Statement, asked: Asked): Answer {
  if (!isAbout(actions.of, asked.action.toLowerCase(), actions.isBut)) return NO
  const open = new Set<string>()
  if (asked.resource === undefined) {
    // Something is permitted by any pattern; all is denied by the star alone.
    const isAll = resources.of.includes('*') && !resources.isBut
    return isAllow || isAll ? meets(conditions, asked.context) : resources.isBut ? UNREAD_RESOURCES : NO
  }
  const named = resources.of.map((pattern) => withVariables(pattern, asked.context, open))
  const isOf = isAbout(named, asked.resource, resources.isBut)
  const about: Answer = open.size > 0 ? { is: 'depends', on: [...open] } : isOf ? YES : NO
  return both(about, meets(conditions, asked.context))
}

/** The patterns that permissions of an action name; a star for what names all but some. */
export function resourcesOf(policies: Policies['identity'], action: string): string[] {
  const about = policies.flatMap((statements) =>
    (statements ?? []).filter(
      ({ isAllow, actions }) => isAllow && isAbout(actions.of, action.toLowerCase(), actions.isBut),
    ),
  )
  return about.flatMap(({ resources }) => (resources.isBut ? ['*'] : resources.of))
}

function isAbout(patterns: readonly string[], text: string, isBut: boolean): boolean {
  return patterns.some((pattern) => isLike(text, pattern)) !== isBut
}

/** "Policy variables": those that are known are filled in, and `${*}` is a star that stands for itself. */
function withVariables(pattern: string, context: Asked['context'], open: Set<string>): string {
  return pattern.replaceAll(/\$\{([^}]*)\}/g, (whole, name: string) => {
    if (['*', '?', '$'].includes(name)) return name
    const value = context[name.split(',')[0]?.trim().toLowerCase() ?? '']
    if (value === undefined) open.add(name)
    return value ?? whole
  })
}

/** All conditions, of which each is about one key: one that is not known here is not guessed. */
export function meets(conditions: Statement['conditions'], context: Asked['context']): Answer {
  return conditions.map((condition) => meetsOne(condition, context)).reduce(both, YES)
}

function meetsOne({ operator, key, values }: Statement['conditions'][number], context: Asked['context']): Answer {
  const value = context[key.toLowerCase()]
  const depends: Answer = { is: 'depends', on: [key] }
  if (value === undefined || values.some((one) => one.includes('${'))) return depends
  const [, , name = ''] = /^(ForAnyValue:|ForAllValues:)?(\w+?)(?:IfExists)?$/i.exec(operator) ?? []
  const folded = value.toLowerCase()
  switch (name.toLowerCase()) {
    case 'stringequals':
    case 'arnequals':
    case 'arnlike':
    case 'stringlike': {
      const isExact = name.toLowerCase() === 'stringequals'
      return values.some((one) => (isExact ? one === value : isLike(value, one))) ? YES : NO
    }
    case 'stringequalsignorecase':
    case 'bool':
      return values.some((one) => one.toLowerCase() === folded) ? YES : NO
    case 'stringnotequals':
      return values.includes(value) ? NO : YES
    case 'stringnotlike':
    case 'arnnotequals':
    case 'arnnotlike':
      return values.some((one) => isLike(value, one)) ? NO : YES
    case 'null':
      return values.every((one) => one.toLowerCase() === 'false') ? YES : NO
    default:
      return depends
  }
}

export function both(a: Answer, b: Answer): Answer {
  if (a.is === 'no' || b.is === 'no') return NO
  if (a.is === 'yes') return b
  return b.is === 'yes' ? a : { is: 'depends', on: joined(a.on, b.on) }
}

export function either(a: Answer, b: Answer): Answer {
  if (a.is === 'yes' || b.is === 'yes') return YES
  if (a.is === 'no') return b
  return b.is === 'no' ? a : { is: 'depends', on: joined(a.on, b.on) }
}

function not(answer: Answer): Answer {
  return answer.is === 'yes' ? NO : answer.is === 'no' ? YES : answer
}

function joined(a: readonly string[], b: readonly string[]): readonly string[] {
  return [...new Set([...a, ...b])].sort()
}
