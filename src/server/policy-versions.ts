import { sql } from 'kysely'
import { END_CHANNEL } from '../access/access.ts'
import type { Config } from '../kernel/config.ts'
import type { Route } from '../kernel/http/route.ts'
import type { Log } from '../kernel/log.ts'
import { systemRandom } from '../kernel/random.ts'
import type { Stop } from '../kernel/stop.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { membersOfGroups } from '../lifecycle/lifecycle.ts'
import { calendarVersions, catalogVersions, teamVersions } from '../policy/contract.ts'
import {
  calendarRules,
  catalogRules,
  documentVersionRoutes,
  filesOf,
  followInTransactions,
  NO_OVERRIDES,
  openLiveRules,
  policyRules,
  policyVersionRoutes,
  simulateChange,
  teamRules,
  type LiveRules,
  type Made,
  type RuleKind,
  type RuleNeeds,
} from '../policy/policy.ts'
import { situationIn } from './decisions.ts'
import type { Ground } from './ground.ts'
import { followGroups } from './groups.ts'
import type { Rules } from './policies.ts'

/** What decides, as this node follows it in the database. */
export type FollowedRules = {
  readonly routes: readonly Route[]
  /** False while this node cannot load some of what decides. */
  isLoaded(): boolean
  /** A hint of the ends' channel, or none after a reconnection. */
  heard(hint?: string): void
  /** Called when this node decides by another version of anything. */
  onTaken(listener: () => void): void
}

export type FollowParts = {
  readonly config: Config
  readonly ground: Ground
  readonly ledger: Ledger
  readonly log: Log
  readonly stop: Stop
}

/** From here on the versions that the database says hold decide, but for what the configuration pins to files. */
export async function followRules(parts: FollowParts, rules: Rules): Promise<FollowedRules> {
  const { config, ground, ledger, log, stop } = parts
  const { db, clock, seal } = ground
  const { engine, teams, calendar, texts } = rules
  const random = systemRandom
  const listeners: (() => void)[] = []
  const needs: RuleNeeds = {
    db,
    clock,
    random,
    ledger,
    log,
    engine,
    announce: async (tx, hint) => {
      await sql`select pg_notify(${END_CHANNEL}, ${hint})`.execute(tx)
    },
    onTaken: () => {
      for (const listener of listeners) listener()
    },
  }
  const pinned = new Set<string>([...config.pinned, ...(config.arePoliciesPinned ? ['policies'] : [])])
  const versioned = new Set(['policies', 'teams', 'calendar', 'catalog'].filter((name) => !pinned.has(name)))
  const wayBack = { clock, random, teams, versioned, engine }
  const feed = { db, teams, groups: membersOfGroups }
  const kinds = {
    policies: policyRules({ ...wayBack, schema: rules.set.schema, open: rules.openEngine, built: rules }),
    teams: teamRules({ ...wayBack, ...feed }),
    calendar: calendarRules(calendar),
    catalog: catalogRules({ ledger, offered: rules.offered }),
  }
  const followed: LiveRules[] = []
  const follow = async <M extends Made>(kind: RuleKind<M>, text: string) => {
    if (pinned.has(kind.name)) return undefined
    const files = kind.name === 'policies' ? rules.files : filesOf(kind, text)
    const live = await openLiveRules(needs, kind, files)
    stop.add(`versions of ${kind.called}`, live)
    followed.push(live)
    return live
  }
  // Teams first: whether policies leave a way back depends on who is in which.
  const live = {
    teams: await follow(kinds.teams, texts.teams),
    policies: await follow(kinds.policies, ''),
    calendar: await follow(kinds.calendar, texts.calendar),
    catalog: await follow(kinds.catalog, NO_OVERRIDES),
  }
  if (live.teams) followInTransactions(feed, kinds.teams, live.teams)
  const fed = live.teams ? followGroups(feed, kinds.teams, needs) : undefined
  if (fed) stop.add('groups that teams follow', fed)
  const fingerprint = (text: string) => seal.fingerprint(text)
  const simulating = { clock, random, engine, teams, fingerprint, situation: situationIn(calendar) }
  const offering = {
    ...needs,
    simulate: (candidate: Parameters<typeof simulateChange>[2]) => simulateChange(db, simulating, candidate),
  }
  return {
    routes: [
      ...policyVersionRoutes({ ...offering, live: live.policies }, kinds.policies),
      ...documentVersionRoutes({ ...offering, live: live.teams }, kinds.teams, teamVersions),
      ...documentVersionRoutes({ ...offering, live: live.calendar }, kinds.calendar, calendarVersions),
      ...documentVersionRoutes({ ...offering, live: live.catalog }, kinds.catalog, catalogVersions),
    ],
    isLoaded: () => followed.every((each) => each.isLoaded()),
    heard: (hint) => {
      for (const each of followed) each.heard(hint)
      fed?.heard(hint)
    },
    onTaken: (listener) => void listeners.push(listener),
  }
}
