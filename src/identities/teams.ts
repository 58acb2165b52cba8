import { readFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import { z } from 'zod'
import { sha256 } from '../kernel/crypto.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { DocumentInvalid, readDocument, type ReadDocument } from '../kernel/document.ts'
import { Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { isInWeek, weekly } from '../kernel/weekly.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'
import { teamsLoaded } from './events.ts'

/** A team is a group of people of the shared record, by name. Which there are is a version of the rules (src/policy/versions). */
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
  /** The teams as the database has them in this very transaction, also before this node heard of them. Absent where files decide. */
  asOf?(db: Db): Promise<Teams>
}

/** The document says something else than teams; the message names the place. */
export class TeamsInvalid extends DocumentInvalid {
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
/** Whose group: members join and leave a team with it, beside those who stand in the list. */
const Follow = z.strictObject({
  provider: Slug.describe('the integration that is the identity provider'),
  group: z.uuid().describe('the id of the group here, which the provider does not choose'),
})
const Team = z.strictObject({
  members: z.array(Slug).max(MAX_MEMBERS).default([]),
  follows: Follow.optional(),
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

/** Teams as they were written, found valid. */
export type TeamsDocument = ReadonlyMap<
  string,
  { readonly members: readonly string[]; readonly turns: readonly OnCallTurn[]; readonly follows?: Follow | undefined }
>
/** A group of an identity provider that a team follows. */
export type Follow = z.output<typeof Follow>
export type OnCallTurn = z.output<typeof Turn>

/** Reads teams from a YAML file (`teams: {payments: {members: [alice]}}`) or takes them as a map. Throws `TeamsInvalid`. */
export async function openTeams(source: string | TeamsMap): Promise<Teams> {
  if (typeof source !== 'string') return parseTeams(teamsText(source), 'the teams')
  return parseTeams(await readTeamsText(source), source)
}

/** The text of a file of teams, or of the map that stands in its place. */
export async function readTeamsText(source: string | TeamsMap): Promise<string> {
  if (typeof source !== 'string') return teamsText(source)
  return readFile(source, 'utf8').catch((error: unknown) => {
    throw new TeamsInvalid(`the teams file ${source} cannot be read (${messageOf(error)})`, [])
  })
}

function teamsText(map: TeamsMap): string {
  return stringify({ teams: map }, { aliasDuplicateObjects: false })
}

/** As `openTeams`, from the file's text. A team or a key that stands there twice is refused. */
export function parseTeams(text: string, name: string): Teams {
  return teamsFrom(readTeams(text, name))
}

/** What a text says of teams. Throws `TeamsInvalid` with the place of each fault. */
export function readTeams(text: string, name: string): TeamsDocument {
  try {
    return documentFrom(readDocument(text, name, TeamsFile))
  } catch (error) {
    if (!(error instanceof DocumentInvalid)) throw error
    throw new TeamsInvalid(error.message, error.faults)
  }
}

function documentFrom({ value, refuse }: ReadDocument<z.output<typeof TeamsFile>>): TeamsDocument {
  const document = new Map<string, { members: string[]; turns: OnCallTurn[]; follows?: Follow }>()
  for (const [team, listed] of Object.entries(value.teams).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const known = new Set<string>()
    for (const [at, member] of listed.members.entries()) {
      if (known.has(member)) refuse(['teams', team, 'members', at], `${member} stands there twice`)
      known.add(member)
    }
    const turns = (listed.on_call ?? []).map((turn) => (typeof turn === 'string' ? Turn.parse({ person: turn }) : turn))
    const stranger = turns.findIndex(({ person }) => !known.has(person))
    const { person } = turns[stranger] ?? {}
    if (person !== undefined) refuse(['teams', team, 'on_call', stranger], `${person} is not a member`)
    document.set(team, { members: [...known].sort(), turns, ...(listed.follows && { follows: listed.follows }) })
  }
  return document
}

/** The groups that teams follow. */
export function followsIn(document: TeamsDocument): Follow[] {
  return [...document.values()].flatMap(({ follows }) => (follows ? [follows] : []))
}

/** Teams with those who are in the groups they follow, by the id of the group. Nobody is on call by that alone. */
export function fedTeams(document: TeamsDocument, members: ReadonlyMap<string, readonly string[]>): TeamsDocument {
  return new Map(
    [...document].map(([team, listed]) => {
      const joined = (listed.follows && members.get(listed.follows.group)) ?? []
      if (joined.length === 0) return [team, listed] as const
      return [team, { ...listed, members: [...new Set([...listed.members, ...joined])].sort() }] as const
    }),
  )
}

/** Teams to be asked, from what was written. */
export function teamsFrom(document: TeamsDocument): Teams {
  const teams = new Map<string, string[]>()
  for (const [team, { members }] of document) {
    for (const member of members) {
      const of = teams.get(member)
      if (of) of.push(team)
      else teams.set(member, [team])
    }
  }
  return Object.freeze({
    names: [...document.keys()],
    teamsOf: (person: string) => teams.get(person) ?? [],
    membersOf: (team: string) => document.get(team)?.members ?? [],
    has: (team: string) => document.has(team),
    onCall: (team: string, at: Date) => [
      ...new Set((document.get(team)?.turns ?? []).filter((turn) => isTurn(turn, at)).map(({ person }) => person)),
    ],
    sha256: sha256(
      JSON.stringify(
        [...document].map(([team, { members, turns, follows }]) => [
          ...canonicalTeam(team, members, turns),
          ...(follows ? [[follows.provider, follows.group]] : []),
        ]),
      ),
    ).toString('hex'),
  })
}

function isTurn({ since, until, ...week }: OnCallTurn, at: Date): boolean {
  return (!since || since <= at) && (!until || at < until) && isInWeek(week, at)
}

/** The order of turns means nothing. A team without turns is written as it always was, so that its hash stays. */
function canonicalTeam(team: string, members: readonly string[], turns: readonly OnCallTurn[]): unknown[] {
  return turns.length === 0 ? [team, members] : [team, members, turnTexts(turns)]
}

/** Each turn in one spelling, in order. */
function turnTexts(turns: readonly OnCallTurn[]): string[] {
  const texts = turns.map(({ person, days, from, to, since, until }) =>
    JSON.stringify([person, days.toSorted(), from, to, since ?? null, until ?? null]),
  )
  return [...new Set(texts)].sort()
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
