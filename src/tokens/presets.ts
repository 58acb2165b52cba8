import type { Proof } from '../identities/identities.ts'
import { ruleTooWide, type Expected, type ExpectedClaim, type Preset } from './contract.ts'

/** What is known of the tokens of a kind of issuer. */
export type PresetFacts = {
  /** Of systems that have one for everybody. */
  readonly issuer?: string
  /** How every subject of it begins: not yet a name of anybody. */
  readonly fixed: string
  /** What it proves in the words of the policies. */
  readonly proof: Proof
  /** Its holder gets a fresh one for each use, so each is taken once. */
  readonly isOnce: boolean
}

/** What is checked of every token, or is different in each: it pins nobody. */
const PINS_NOTHING: readonly string[] = ['aud', 'azp', 'exp', 'iat', 'iss', 'jti', 'nbf', 'sub', 'typ']

export const PRESET_FACTS: Readonly<Record<Preset, PresetFacts>> = {
  oidc: { fixed: '', proof: 'oidc', isOnce: false },
  'github-actions': {
    issuer: 'https://token.actions.githubusercontent.com',
    fixed: 'repo:',
    proof: 'oidc',
    isOnce: true,
  },
  'gitlab-ci': {
    issuer: 'https://gitlab.com',
    fixed: 'project_path:',
    proof: 'oidc',
    isOnce: false,
  },
  kubernetes: { fixed: 'system:serviceaccount:', proof: 'kubernetes', isOnce: false },
  buildkite: {
    issuer: 'https://agent.buildkite.com',
    fixed: 'organization:',
    proof: 'oidc',
    isOnce: true,
  },
  circleci: { fixed: 'org/', proof: 'oidc', isOnce: false },
  'client-key': { fixed: '', proof: 'token', isOnce: true },
  spiffe: { fixed: 'spiffe://', proof: 'spiffe', isOnce: false },
  'id-jag': { fixed: '', proof: 'oidc', isOnce: true },
}

/** Letters and digits that say who, after what every subject of the kind begins with. */
const LEAST_LITERAL = 6

/** Throws `ruleTooWide` for what would let in more than somebody who is named. */
export function refuseWide(preset: Preset, subject: Expected, claims: readonly ExpectedClaim[]): void {
  const { fixed } = PRESET_FACTS[preset]
  refuseWideText('subject', subject, fixed)
  const text = textOf(subject)
  if (!text.startsWith(fixed))
    throw ruleTooWide(`The subject of this preset begins with ${fixed}`, { field: 'subject' })
  const names = new Set<string>()
  for (const { claim, value } of claims) {
    if (PINS_NOTHING.includes(claim))
      throw ruleTooWide('This claim is checked already and pins nothing.', { field: claim })
    if (names.has(claim)) throw ruleTooWide('A claim is expected twice.', { field: claim })
    names.add(claim)
    refuseWideText(claim, value, '')
  }
}

function refuseWideText(field: string, expected: Expected, fixed: string): void {
  if (/[*?]/.test(textOf(expected))) {
    throw ruleTooWide('There are no wildcards: give the whole value, or how it begins.', { field })
  }
  if ('is' in expected) return
  const { startsWith } = expected
  // `repo:acme/web` would also be the beginning of `repo:acme/web-of-somebody-else`.
  if (!/[:/@]$/.test(startsWith)) {
    throw ruleTooWide('A beginning ends at a separator (`:`, `/` or `@`), or it is also that of other names.', {
      field,
    })
  }
  const own = startsWith.startsWith(fixed) ? startsWith.slice(fixed.length) : startsWith
  if (own.replaceAll(/^https?:\/\//g, '').replaceAll(/[^A-Za-z0-9]/g, '').length < LEAST_LITERAL) {
    throw ruleTooWide(`A beginning needs at least ${LEAST_LITERAL} letters or digits of a name.`, { field })
  }
}

function textOf(expected: Expected): string {
  return 'is' in expected ? expected.is : expected.startsWith
}

/** Whether verified claims are those that a rule expects. */
export function isExpected(
  claims: Readonly<Record<string, unknown>>,
  rule: { readonly subject: Expected; readonly claims: readonly ExpectedClaim[] },
): boolean {
  return (
    fits(claims['sub'], rule.subject) && rule.claims.every(({ claim, value }) => fits(valueAt(claims, claim), value))
  )
}

function fits(value: unknown, expected: Expected): boolean {
  if (typeof value !== 'string') return false
  if ('is' in expected) return value === expected.is
  return value.startsWith(expected.startsWith) && /^[\x21-\x7e]*$/.test(value)
}

/** A claim by its own name, else by the way to it: `kubernetes.io/serviceaccount/uid`. Numbers and truth as their text. */
function valueAt(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  let found: unknown = claims
  const path = Object.hasOwn(claims, name) ? [name] : name.split('/')
  for (const part of path) {
    if (typeof found !== 'object' || found === null || Array.isArray(found)) return undefined
    found = Object.getOwnPropertyDescriptor(found, part)?.value
  }
  return typeof found === 'number' || typeof found === 'boolean' ? String(found) : found
}
