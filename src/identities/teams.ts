import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { sha256 } from '../kernel/crypto.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { isInWeek, weekly } from '../kernel/weekly.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'
import { teamsLoaded } from './events.ts'

/** A team is a group of people of the shared record, by name (core 7: a file, read at start, its hash in the ledger). */
export type Teams = {
  readonly names: readonly string[]
  /** Of a person's name. */
  teamsOf(name: string): readonly string[]
  membersOf(team: string): readonly string[]
  has(team: string): boolean
  /** Its members who are on call at that instant; nobody where the file names nobody. */
  onCall(team: string, at: Date): readonly string[]
  /** The teams in one canonical form, hashed: the same teams have the same hash however the file is written. */
  readonly sha256: string
}

/** The file says something else than teams; the message names the place. */
export class TeamsInvalid extends Error {
  override readonly name = 'TeamsInvalid'
}

const MAX_TEAMS = 1000
const MAX_MEMBERS = 5000
/** At most so many turns of a team: a year of weekly ones for each of ten people. */
const MAX_TURNS = 520
/** A name alone is always on call. Times come back each week, in UTC; since and until bound a turn, the end not included. */
const Turn = z
  .strictObject({ person: Slug, ...weekly, since: Instant.optional(), until: Instant.optional() })
  .refine(({ since, until }) => !since || !until || since < until, 'until is after since')
const Team = z.strictObject({
  members: z.array(Slug).max(MAX_MEMBERS),
  on_call: z
    .array(z.union([Slug, Turn]))
    .max(MAX_TURNS)
    .optional(),
})
const TeamsFile = z.strictObject({
  teams: z
    .record(Slug, Team)
    .refine((teams) => Object.keys(teams).length <= MAX_TEAMS, `there are more than ${MAX_TEAMS} teams`),
})
/** What a configuration may hold in place of a file. */
export type TeamsMap = z.input<typeof TeamsFile>['teams']

/** Reads teams from a YAML file (`teams: {payments: {members: [alice]}}`) or takes them as a map. Throws `TeamsInvalid`. */
export async function openTeams(source: string | TeamsMap): Promise<Teams> {
  if (typeof source !== 'string') return teamsFrom({ teams: source }, 'the teams')
  const text = await readFile(source, 'utf8').catch((error: unknown) => {
    throw new TeamsInvalid(`the teams file ${source} cannot be read`, { cause: error })
  })
  return parseTeams(text, source)
}

/** As `openTeams`, from the file's text. A team or a key that stands there twice is refused. */
export function parseTeams(text: string, name: string): Teams {
  let value: unknown
  try {
    value = parse(text, { uniqueKeys: true, maxAliasCount: 0 })
  } catch (error) {
    throw new TeamsInvalid(`${name} is not YAML, or a name stands there twice: ${messageOf(error)}`, { cause: error })
  }
  return teamsFrom(value, name)
}

function teamsFrom(value: unknown, name: string): Teams {
  const parsed = TeamsFile.safeParse(value)
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'top'}: ${issue.message}`)
    throw new TeamsInvalid(`${name} is not valid. ${issues.slice(0, 10).join('; ')}`)
  }
  const members = new Map<string, readonly string[]>()
  const teams = new Map<string, string[]>()
  const turns = new Map<string, readonly Turn[]>()
  for (const [team, listed] of Object.entries(parsed.data.teams).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const twice = listed.members.find((member, at) => listed.members.indexOf(member) !== at)
    if (twice !== undefined) throw new TeamsInvalid(`${name} is not valid. teams.${team}: ${twice} stands there twice`)
    const onCall = (listed.on_call ?? []).map((turn) =>
      typeof turn === 'string' ? Turn.parse({ person: turn }) : turn,
    )
    const stranger = onCall.find(({ person }) => !listed.members.includes(person))
    if (stranger) {
      throw new TeamsInvalid(`${name} is not valid. teams.${team}.on_call: ${stranger.person} is not a member`)
    }
    if (onCall.length > 0) turns.set(team, onCall)
    members.set(team, Object.freeze([...listed.members].sort()))
    for (const member of listed.members) teams.set(member, [...(teams.get(member) ?? []), team])
  }
  return Object.freeze({
    names: [...members.keys()],
    teamsOf: (person: string) => teams.get(person) ?? [],
    membersOf: (team: string) => members.get(team) ?? [],
    has: (team: string) => members.has(team),
    onCall: (team: string, at: Date) => [
      ...new Set((turns.get(team) ?? []).filter((turn) => isTurn(turn, at)).map(({ person }) => person)),
    ],
    sha256: sha256(
      JSON.stringify([...members].map(([team, all]) => canonicalTeam(team, all, turns.get(team)))),
    ).toString('hex'),
  })
}

type Turn = z.output<typeof Turn>

function isTurn({ since, until, ...week }: Turn, at: Date): boolean {
  return (!since || since <= at) && (!until || at < until) && isInWeek(week, at)
}

/** The order of turns means nothing. A team without turns is written as it always was, so that its hash stays. */
function canonicalTeam(team: string, members: readonly string[], turns: readonly Turn[] | undefined): unknown[] {
  if (!turns) return [team, members]
  const texts = turns.map(({ person, days, from, to, since, until }) =>
    JSON.stringify([person, days.toSorted(), from, to, since ?? null, until ?? null]),
  )
  return [team, members, [...new Set(texts)].sort()]
}

/** Enters the hash of the teams into the ledger when it differs from the last one entered. Returns whether it did. */
export async function recordTeams(tx: Tx, needs: { ledger: Ledger }, teams: Teams): Promise<boolean> {
  if ((await lastTeamsSha256(tx)) === teams.sha256) return false
  await needs.ledger.record(tx, {
    event: teamsLoaded,
    actor: SYSTEM,
    resource: { type: 'Installation', id: 'installation' },
    outcome: 'done',
    facts: { sha256: teams.sha256, teams: [...teams.names] },
  })
  return true
}

const Leaf = z.object({ facts: z.object({ sha256: z.string() }) })

async function lastTeamsSha256(db: Db): Promise<string | undefined> {
  const row = await db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', teamsLoaded.kind)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && Leaf.parse(JSON.parse(row.leaf.toString('utf8'))).facts.sha256
}

function messageOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : 'unknown'
}
