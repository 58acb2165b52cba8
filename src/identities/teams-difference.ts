import type { Follow, OnCallTurn, TeamsDocument } from './teams.ts'

/** What other teams would change, a sentence each: who joins, who leaves, who is on call when. */
export function teamsDifference(before: TeamsDocument, after: TeamsDocument): string[] {
  const lines: string[] = []
  for (const team of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [was, is] = [before.get(team), after.get(team)]
    if (!was && is) lines.push(`team ${team} is new${is.members.length === 0 ? ', with nobody in it' : ''}`)
    if (was && !is) lines.push(`team ${team} is gone`)
    const [led, leads] = [followWords(was?.follows), followWords(is?.follows)]
    if (led !== leads && led !== undefined) lines.push(`${team} follows ${led} no more`)
    if (led !== leads && leads !== undefined) lines.push(`${team} follows ${leads}: who is in it is in the team`)
    const [old, fresh] = [new Set(was?.members), new Set(is?.members)]
    lines.push(...[...fresh.difference(old)].map((person) => `${person} joins ${team}`))
    lines.push(...[...old.difference(fresh)].map((person) => `${person} leaves ${team}`))
    const [shifts, changed] = [new Set(was?.turns.map(turnWords)), new Set(is?.turns.map(turnWords))]
    lines.push(...[...changed.difference(shifts)].map((turn) => `${team}: ${turn} is on call`))
    lines.push(...[...shifts.difference(changed)].map((turn) => `${team}: ${turn} is on call no more`))
  }
  return lines
}

/** People, by name, who would be in a team that they are not in now. */
export function joining(before: TeamsDocument, after: TeamsDocument): string[] {
  const names = [...after].flatMap(([team, { members }]) => {
    const old = new Set(before.get(team)?.members)
    return members.filter((member) => !old.has(member))
  })
  return [...new Set(names)].sort()
}

function followWords(follow: Follow | undefined): string | undefined {
  return follow && `the group ${follow.group} of ${follow.provider}`
}

function turnWords({ person, days, from, to, since, until }: OnCallTurn): string {
  const parts = [person]
  if (days.length < 7) parts.push(days.join(' '))
  if (from !== '00:00' || to !== '24:00') parts.push(`${from} to ${to}`)
  if (since) parts.push(`since ${since.toISOString()}`)
  if (until) parts.push(`until ${until.toISOString()}`)
  return parts.join(', ')
}
