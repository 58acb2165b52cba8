import type { Db } from '../../kernel/db.ts'
import {
  fedTeams,
  followsIn,
  joining,
  teamsDifference,
  teamsFrom,
  type Follow,
  type LiveTeams,
  type Teams,
  type TeamsDocument,
} from '../../identities/identities.ts'
import { readAside } from '../aside/document.ts'
import type { LiveEngine } from '../live-engine.ts'
import type { Made, RuleKind } from './kind.ts'
import type { LiveRules } from './needs.ts'
import { activeSeq, loadActive } from './records.ts'
import { mustLeaveWayBack, type WayBackNeeds } from './way-back.ts'

/** Teams, with what was written of them. */
type TeamRules = Made & {
  readonly document: TeamsDocument
  /** With those who were in the groups that teams follow when it was made. */
  readonly fed: TeamsDocument
  readonly teams: Teams
}

/** Who is in groups of identity providers, by the id of the group. */
type GroupFeed = (db: Db, follows: readonly Follow[]) => Promise<ReadonlyMap<string, readonly string[]>>

type Needs = Omit<WayBackNeeds, 'teams'> & {
  readonly db: Db
  readonly engine: LiveEngine
  readonly teams: LiveTeams
  readonly groups: GroupFeed
}

/** Who is in which team: whom approvals are asked of. Nobody approves what brings them into one. */
export function teamRules(needs: Needs): RuleKind<TeamRules> {
  const { teams, engine } = needs
  // Of no version yet: the first look takes one.
  let now: TeamRules = { sha256: 'none', document: new Map(), fed: new Map(), teams }
  return {
    name: 'teams',
    type: 'TeamList',
    called: 'the teams',
    make: async (files) => made(needs, needs.db, await readAside({ kind: 'teams', text: files[0]?.text ?? '' })),
    count: ({ document }) => document.size,
    current: () => now,
    take: async (next) => {
      now = await made(needs, needs.db, next.document)
      teams.swap(now.teams)
    },
    difference: (before, after) => teamsDifference(before.document, after.document),
    world: async (candidate) => ({ teams: candidate.teams, [Symbol.dispose]: () => {} }),
    gives: (db, candidate) => idsOf(db, joining(now.fed, candidate.fed)),
    check: (db, candidate) => mustLeaveWayBack(db, needs, { engine: engine.current(), teams: candidate.teams }),
    onActivated: async () => {},
    // Until there is a team, nobody could approve one; the files of a start make the first.
    mayFollow: ({ files }) => /^\s*teams:\s*\{\}\s*$/.test(files[0]?.text ?? ''),
  }
}

/** Its hash is of what was written and approved; who is in a group changes without another version. */
async function made({ groups }: Pick<Needs, 'groups'>, db: Db, document: TeamsDocument): Promise<TeamRules> {
  const fed = fedTeams(document, await groups(db, followsIn(document)))
  return { sha256: teamsFrom(document).sha256, document, fed, teams: teamsFrom(fed) }
}

/** Takes up who joined or left the groups that teams follow. Returns whether that changed a team. */
export async function refeed(
  needs: Pick<Needs, 'db' | 'teams' | 'groups'>,
  kind: RuleKind<TeamRules>,
): Promise<boolean> {
  const before = kind.current()
  if (followsIn(before.document).length === 0) return false
  const next = await made(needs, needs.db, before.document)
  // Another version may have been taken while this one was read.
  if (kind.current() !== before || next.teams.sha256 === needs.teams.sha256) return false
  await kind.take(next)
  return true
}

/** Lets whoever asks for the teams of a transaction have those that the database says hold, before this node heard of them. */
export function followInTransactions(
  { teams, groups }: Pick<Needs, 'teams' | 'groups'>,
  kind: RuleKind<TeamRules>,
  live: LiveRules,
): void {
  teams.follow(async (db) => {
    const followed = live.seq()
    if ((await activeSeq(db, kind.name)) === followed) {
      const { document, teams: known } = kind.current()
      return followsIn(document).length === 0 ? known : (await made({ groups }, db, document)).teams
    }
    const active = await loadActive(db, kind.name)
    if (!active) throw new Error('no version of the teams is active')
    return (await made({ groups }, db, (await kind.make(active.files)).document)).teams
  })
}

async function idsOf(db: Db, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return []
  const rows = await db.selectFrom('identity').select('id').where('name', 'in', names).orderBy('id').execute()
  return rows.map(({ id }) => id)
}
