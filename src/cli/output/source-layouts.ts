import type { SourceDetail, SourceReading } from '../../inventory/contract.ts'
import type { FindingPage } from '../../governance/contract.ts'
import { printable } from './printable.ts'
import { pairs, table } from './table.ts'

/** A source: what it is, how each of its parts stands, what of them was not seen and which permission would show it, and its last readings. */
export function sourceText(source: SourceDetail): string {
  const { scopes, readings, settings } = source
  const head = pairs([
    ['name', source.name],
    ['id', source.id],
    ['connector', source.connector],
    ['settings', JSON.stringify(settings)],
    ['owner team', source.ownerTeam],
    ['environment', source.environment],
    ['system', source.system === null ? '-' : `${source.system} (${source.authority ?? '-'})`],
    ['state', source.state],
    ['schedule', `${source.schedule}, next ${at(source.nextReadAt)}`],
    ['problem', source.problem ?? '-'],
  ])
  const parts = table([
    { title: 'part', cells: scopes.map(({ scope }) => scope) },
    { title: 'of', cells: scopes.map(({ title }) => title ?? '-') },
    { title: 'status', cells: scopes.map(({ status }) => status ?? 'never read') },
    { title: 'things', cells: scopes.map(({ items }) => String(items)) },
    { title: 'read', cells: scopes.map(({ readAt }) => at(readAt)) },
    { title: 'seen whole', cells: scopes.map(({ seenAt }) => at(seenAt)) },
  ])
  const unseen = scopes.flatMap(({ scope, missing }) =>
    missing.map((part) => `not seen: ${scope}: ${missingText(part)}`),
  )
  const runs = table([
    { title: 'reading began', cells: readings.map(({ beganAt }) => at(beganAt)) },
    { title: 'ended', cells: readings.map(({ endedAt }) => at(endedAt)) },
    { title: 'outcome', cells: readings.map(({ outcome }) => outcome ?? 'under way') },
    { title: 'problem', cells: readings.map(({ problem }) => problem ?? '-') },
  ])
  const blocks = [head, scopes.length === 0 ? '' : parts, linesOf(unseen), readings.length === 0 ? '' : runs]
  return blocks.filter((block) => block !== '').join('\n')
}

/** One line a part, and under it what was not seen. */
export function readingText({ scopes, outcome, problem }: SourceReading): string {
  const lines = scopes.flatMap(({ scope, status, items, added, changed, missed, gone, missing }) => [
    `${status.padEnd(11)} ${scope.padEnd(24)} ${items} things, ${added} new, ${changed} changed, ${missed} missed, ${gone} gone`,
    ...missing.map((part) => `            not seen: ${missingText(part)}`),
  ])
  return linesOf([...lines, `${outcome}${problem === null ? '' : `: ${problem}`}`])
}

/** That nothing was found says nothing by itself: when was it looked, and of how much could the rules not judge? */
export function nothingFoundText({ items, pass }: FindingPage): string | undefined {
  if (items.length > 0) return undefined
  if (pass === null)
    return 'nothing: the rules have not looked yet; they do within a minute of a reading, or now by reeve finding evaluate\n'
  const { looks, beganAt } = pass
  const judged = looks.reduce((all, look) => all + look.judged, 0)
  const unknown = looks.reduce((all, look) => all + look.unknown, 0)
  return `nothing like this: the rules looked at ${at(beganAt)}; of ${judged} verdicts ${unknown} could not be given (reeve finding evaluate says why)\n`
}

type Missing = SourceDetail['scopes'][number]['missing'][number]

function missingText({ what, why, permission }: Missing): string {
  return `${what}, since ${why}${permission === undefined ? '' : `; it takes ${permission}`}`
}

function linesOf(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('')
}

function at(instant: Date | null): string {
  return instant === null ? '-' : instant.toISOString()
}
