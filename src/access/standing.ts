import type { Identity } from '../identities/contract.ts'
import type { Db } from '../kernel/db.ts'
import type { PolicyValue } from '../kernel/entity.ts'
import type { OpenFindings } from '../policy/policy.ts'
import type { Chain } from './chain.ts'

/** What the governance standard says of an identity, held to what it is about to touch. */
type Standing = {
  readonly path: string
  /** Whether its kind is one of that path. */
  readonly isOnPath: boolean
  /** Controls that the standard asks for and the record does not show. */
  readonly missing: readonly string[]
  /** Controls that nothing can observe. */
  readonly unknown: readonly string[]
  /** What rules found on it or on what it holds, and is open. */
  readonly findings?: readonly string[]
  /** Which standard, by its version. */
  readonly standard: string
}

/** Passed in: governance stands above this folder. Undefined where it could not be assessed. */
export type StandingOf = (
  db: Db,
  identity: Identity,
  at: { readonly tier: number; readonly now: Date },
) => Promise<Standing | undefined>

/** Of an installation in which nothing assesses. */
export const noStanding: StandingOf = async () => undefined

/** The standing of whoever takes part in an act, at the tier of what it is done to. */
export type Standings = { readonly subject: Standing | undefined; readonly onBehalfOf: Standing | undefined }

export async function standingsOf(
  db: Db,
  standing: StandingOf,
  { subject, onBehalfOf }: Pick<Chain, 'subject' | 'onBehalfOf'>,
  at: { readonly tier: number; readonly now: Date },
): Promise<Standings> {
  return {
    subject: await standing(db, subject, at),
    onBehalfOf: onBehalfOf === null ? undefined : await standing(db, onBehalfOf, at),
  }
}

/** The controls that who acts fails, and what rules found on it. */
export function findingsOf({ subject }: Standings): OpenFindings | null {
  if (!subject) return null
  return {
    names: [...subject.missing, ...(subject.findings ?? [])],
    source: `standard ${subject.standard}`,
    ageSeconds: 0,
  }
}

/** What policies are told: of who acts, and what the one it acts for misses too. Nothing where who acts could not be assessed. */
export function standardContext({ subject, onBehalfOf }: Standings): Record<string, PolicyValue> {
  if (!subject) return {}
  const join = (a: readonly string[], b: readonly string[] = []) => [...new Set([...a, ...b])].sort()
  const missing = join(subject.missing, onBehalfOf?.missing)
  const unknown = join(subject.unknown, onBehalfOf?.unknown)
  const onPath = subject.isOnPath && (onBehalfOf?.isOnPath ?? true)
  return {
    standard: {
      version: subject.standard,
      path: subject.path,
      onPath,
      meets: missing.length === 0 && unknown.length === 0,
      missing,
      unknown,
    },
  }
}
