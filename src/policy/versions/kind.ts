import type { Db, Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import type { Calendar } from '../calendar.ts'
import type { Obligations } from '../obligations.ts'
import type { Engine } from '../evaluate.ts'
import type { Teams } from '../../identities/identities.ts'
import type { RuleFiles } from './contract.ts'

/** What decides: four kinds of rules, each a line of versions of which one holds. */
export const RULES = ['policies', 'teams', 'calendar', 'catalog'] as const
export type RuleName = (typeof RULES)[number]

/** A version as it decides; its hash names what it means, however it was written. */
export type Made = { readonly sha256: string }

/** What decisions are made by, beside the record; whatever is left out stays as it is. */
export type World = {
  readonly engine?: Engine
  readonly teams?: Teams
  readonly calendar?: Calendar
  /** What the catalog asks for an action whatever the policies say; undefined for one that it does not list. */
  readonly floorOf?: (action: string) => Obligations | undefined
}

/** How a kind is called. */
export type KindNamed = Pick<RuleKind, 'name' | 'type' | 'called'>

/** One kind of rules: how its text becomes what decides, and what a version would change. */
export type RuleKind<M extends Made = Made> = {
  readonly name: RuleName
  /** As policies call its versions: a type of their schema. */
  readonly type: 'PolicySet' | 'TeamList' | 'Calendar' | 'Catalog'
  /** As sentences call it: the policies, the teams, the calendar. */
  readonly called: string
  /** Checks a version as a whole. Rejects with a problem that says where what is wrong. */
  make(files: RuleFiles): Promise<M>
  /** How many policies, teams, spans or entries it has. */
  count(made: M): number
  /** What this node decides by. */
  current(): M
  /** From here on this node decides by it. */
  take(made: M): Promise<void>
  /** In words, a line each; none where nothing changes. */
  difference(before: M, after: M): readonly string[]
  /** Decisions as they would be made by it. Disposed when all were asked. */
  world(made: M): Promise<World & Disposable>
  /** People to whom it would give more: none of them approves it. */
  gives?(db: Db, made: M): Promise<readonly string[]>
  /** Refuses what would leave nobody who could take it back. */
  check(db: Db, made: M): Promise<void>
  /** In the transaction that activates it, for what stands in other tables too. */
  onActivated(tx: Tx, made: M, permit: Permit | undefined): Promise<void>
  /** Whether files at a start take the place of what holds: never of what somebody proposed. */
  mayFollow(active: { readonly files: RuleFiles }): boolean
}
