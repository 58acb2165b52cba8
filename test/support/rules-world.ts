import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { sql } from 'kysely'
import { stringify } from 'yaml'
import type { Change, ChangeDetail } from '../../src/access/contract.ts'
import { ActionEntry } from '../../src/catalog/contract.ts'
import type { Identity } from '../../src/identities/contract.ts'
import { membersOfGroups } from '../../src/lifecycle/lifecycle.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { calendarVersions, catalogVersions, teamVersions, type RuleVersion } from '../../src/policy/contract.ts'
import {
  calendarRules,
  catalogRules,
  documentVersionRoutes,
  EMPTY_CALENDAR,
  filesOf,
  followInTransactions,
  NO_OVERRIDES,
  openCedarEngine,
  openLiveRules,
  policyRules,
  policyVersionRoutes,
  simulateChange,
  teamRules,
  type LiveRules,
  type RuleNeeds,
} from '../../src/policy/policy.ts'
import type { AccessWorld } from './access-world.ts'
import { changeWorld, type ChangeWorld } from './change-world.ts'
import { ACTIONS, TEAMS } from './world.ts'
import type { TeamsMap } from '../../src/identities/identities.ts'

const SHIPPED = await readFile(join(import.meta.dirname, '../../policies/default.cedar'), 'utf8')

export const SHIPPED_FILES = [{ name: 'default.cedar', text: SHIPPED }]

export const SHIPPED_TEXT = SHIPPED

type Kinds = ReturnType<typeof kindsOf>
type Noun = 'policy' | 'team' | 'calendar' | 'catalog'

/** A world in which what decides is kept in versions: the shipped policies, the world's teams, no windows, the tests' catalog. */
export type RulesWorld = ChangeWorld & {
  readonly rules: RuleNeeds
  readonly ruleKinds: Kinds
  /** Of policies; undefined where they are pinned. */
  readonly live: { readonly [name in keyof Kinds]: LiveRules }
  /** How often this node was told that it decides by another version. */
  readonly taken: () => number
  readonly propose: (who: Identity, noun: Noun, input: unknown) => Promise<RuleVersion>
  /** The whole way: asked by the founder, approved by another, applied. */
  readonly activate: (noun: Noun, version: Pick<RuleVersion, 'id'>, approver?: Identity) => Promise<unknown>
  readonly revert: (noun: Noun, approver?: Identity) => Promise<unknown>
  readonly detail: (who: Identity, change: Pick<Change, 'id'>) => Promise<ChangeDetail>
  readonly say: (who: Identity, change: Pick<Change, 'id' | 'boundSha256'>) => Promise<unknown>
}

export async function rulesWorld(
  t: Pick<TestContext, 'after'>,
  options: { readonly teams?: TeamsMap; readonly isPinned?: boolean; readonly max?: number } = {},
): Promise<RulesWorld> {
  let opened: Awaited<ReturnType<typeof openRules>> | undefined
  const w = await changeWorld(t, {
    ...(options.max !== undefined && { max: options.max }),
    ...(options.teams && { teams: options.teams }),
    more: async (world) => {
      opened = await openRules(t, world, options)
      return opened.routes
    },
  })
  assert.ok(opened)
  const { routes: _, ...found } = opened
  const say: RulesWorld['say'] = (who, { id, boundSha256 }) =>
    w.on(who, 'change.approve', { params: { change: id }, input: { boundSha256 } })
  const through = async (change: Change, approver: Identity) => {
    await say(approver, change)
    return w.on(w.founder, 'change.apply', { params: { change: change.id } })
  }
  return {
    ...w,
    ...found,
    say,
    propose: async (who, noun, input) => (await w.on(who, `${noun}.propose`, { input })) as RuleVersion,
    activate: async (noun, { id }, approver = w.carol) =>
      through(await w.put(w.founder, `${noun}.activate`, { params: { version: id } }), approver),
    revert: async (noun, approver = w.carol) => through(await w.put(w.founder, `${noun}.revert`, {}), approver),
    detail: async (who, { id }) => (await w.on(who, 'change.read', { params: { change: id } })) as ChangeDetail,
  }
}

async function openRules(
  t: Pick<TestContext, 'after'>,
  w: AccessWorld,
  { teams = TEAMS, isPinned = false }: { readonly teams?: TeamsMap; readonly isPinned?: boolean },
) {
  let taken = 0
  const rules = rulesOf(w, () => {
    taken += 1
  })
  // The world's engine was opened on these files: nothing is made again.
  const kinds = kindsOf(w, { files: SHIPPED_FILES, set: w.engine.current().set })
  const live = {
    teams: await openLiveRules(rules, kinds.teams, filesOf(kinds.teams, stringify({ teams }))),
    policies: await openLiveRules(rules, kinds.policies, SHIPPED_FILES),
    calendar: await openLiveRules(rules, kinds.calendar, filesOf(kinds.calendar, EMPTY_CALENDAR)),
    catalog: await openLiveRules(rules, kinds.catalog, filesOf(kinds.catalog, NO_OVERRIDES)),
  }
  for (const each of Object.values(live)) t.after(() => each[Symbol.asyncDispose]())
  followInTransactions({ teams: w.teams, groups: membersOfGroups }, kinds.teams, live.teams)
  const simulating = {
    ...rules,
    teams: w.teams,
    fingerprint: (text: string) => w.needs.seal.fingerprint(text),
    situation: (place: { target: string; environment: string }, now: Date) => {
      const window = w.calendar.window(place, now)
      return { freeze: w.calendar.isFrozen(place, now), ...(window && { window }) }
    },
  }
  const needs = {
    ...rules,
    simulate: (candidate: Parameters<typeof simulateChange>[2]) => simulateChange(w.db, simulating, candidate),
  }
  return {
    rules,
    ruleKinds: kinds,
    live,
    taken: () => taken,
    routes: [
      ...policyVersionRoutes({ ...needs, live: isPinned ? undefined : live.policies }, kinds.policies),
      ...documentVersionRoutes({ ...needs, live: isPinned ? undefined : live.teams }, kinds.teams, teamVersions),
      ...documentVersionRoutes({ ...needs, live: live.calendar }, kinds.calendar, calendarVersions),
      ...documentVersionRoutes({ ...needs, live: live.catalog }, kinds.catalog, catalogVersions),
    ],
  }
}

/** What another node on the same database would have. */
export function rulesOf(w: Pick<AccessWorld, 'db' | 'clock' | 'needs' | 'engine'>, onTaken = () => {}): RuleNeeds {
  const { db, clock, needs, engine } = w
  return {
    db,
    clock,
    random: needs.random,
    ledger: needs.ledger,
    log: silentLog,
    engine,
    announce: async (tx, hint) => void (await sql`select pg_notify('reeve_end', ${hint})`.execute(tx)),
    onTaken,
  }
}

export function kindsOf(
  w: Pick<AccessWorld, 'db' | 'clock' | 'needs' | 'engine' | 'teams' | 'calendar'>,
  built?: Parameters<typeof policyRules>[0]['built'],
) {
  const { clock, needs, engine, teams, calendar } = w
  const wayBack = { clock, random: needs.random, teams, engine, versioned: new Set(['policies', 'teams']) }
  const { schema } = engine.current().set
  return {
    policies: policyRules({ ...wayBack, schema, open: async (set) => openCedarEngine(set), ...(built && { built }) }),
    teams: teamRules({ ...wayBack, db: w.db, groups: membersOfGroups }),
    calendar: calendarRules(calendar),
    catalog: catalogRules({ ledger: needs.ledger, offered: ACTIONS.map((action) => ActionEntry.parse(action)) }),
  }
}
