import type { Db } from '../../kernel/db.ts'
import {
  joining,
  teamsDifference,
  teamsFrom,
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
type TeamRules = Made & { readonly document: TeamsDocument; readonly teams: Teams }

type Needs = Omit<WayBackNeeds, 'teams'> & { readonly engine: LiveEngine; readonly teams: LiveTeams }

/** Who is in which team: whom approvals are asked of. Nobody approves what brings them into one. */
export function teamRules(needs: Needs): RuleKind<TeamRules> {
  const { teams, engine } = needs
  // Of no version yet: the first look takes one.
  let now: TeamRules = { sha256: 'none', document: new Map(), teams }
  return {
    name: 'teams',
    type: 'TeamList',
    called: 'the teams',
    make: async (files) => made(await readAside({ kind: 'teams', text: files[0]?.text ?? '' })),
    count: ({ document }) => document.size,
    current: () => now,
    take: async (next) => {
      now = next
      teams.swap(next.teams)
    },
    difference: (before, after) => teamsDifference(before.document, after.document),
    world: async (candidate) => ({ teams: candidate.teams, [Symbol.dispose]: () => {} }),
    gives: (db, candidate) => idsOf(db, joining(now.document, candidate.document)),
    check: (db, candidate) => mustLeaveWayBack(db, needs, { engine: engine.current(), teams: candidate.teams }),
    onActivated: async () => {},
    // Until there is a team, nobody could approve one; the files of a start make the first.
    mayFollow: ({ files }) => /^\s*teams:\s*\{\}\s*$/.test(files[0]?.text ?? ''),
  }
}

function made(document: TeamsDocument): TeamRules {
  const teams = teamsFrom(document)
  return { sha256: teams.sha256, document, teams }
}

/** Lets whoever asks for the teams of a transaction have those that the database says hold, before this node heard of them. */
export function followInTransactions(teams: LiveTeams, kind: RuleKind<TeamRules>, live: LiveRules): void {
  teams.follow(async (db) => {
    const followed = live.seq()
    if ((await activeSeq(db, kind.name)) === followed) return kind.current().teams
    const active = await loadActive(db, kind.name)
    if (!active) throw new Error('no version of the teams is active')
    return (await kind.make(active.files)).teams
  })
}

async function idsOf(db: Db, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return []
  const rows = await db.selectFrom('identity').select('id').where('name', 'in', names).orderBy('id').execute()
  return rows.map(({ id }) => id)
}
