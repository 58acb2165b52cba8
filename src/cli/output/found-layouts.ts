import type { Adoption, CandidatePage, PathDetail, ServicePage } from '../../governance/contract.ts'
import { printable } from './printable.ts'
import { table } from './table.ts'

/** What became, or would become, an identity; what did not, and why; and whether there is more. */
export function adoptionText({ items, left, unmatched, next, unseen, isDryRun }: Adoption): string {
  const cells = (of: (item: Adoption['items'][number]) => string) => items.map((item) => printable(of(item)))
  const adopted =
    items.length === 0
      ? ''
      : table([
          { title: 'principal', cells: cells(({ principal }) => principal) },
          { title: 'source', cells: cells(({ source }) => source) },
          { title: 'identity', cells: cells(({ identity }) => identity) },
          { title: 'kind', cells: cells(({ kind }) => kind) },
          { title: 'profile', cells: cells(({ profile }) => profile) },
          { title: 'tier', cells: cells(({ tier }) => String(tier)) },
          { title: 'owner?', cells: cells(({ owner }) => (owner ? `${owner.owner} ${owner.score} %` : '-')) },
        ])
  const lines = [
    `${items.length} ${isDryRun ? 'would be' : 'were'} adopted`,
    ...left.map(({ count, words, examples }) => `${count} left, ${words}: ${examples.join(', ')}`),
    ...(unmatched > 0 ? [`${unmatched} of another class than was asked for`] : []),
    ...(next === null ? [] : [`there is more: --after ${next}, or all of it by reeve adoption start`]),
    ...(unseen > 0 ? [`${unseen} parts of sources were not seen whole: reeve inventory coverage`] : []),
  ]
  return `${adopted}${lines.map((line) => `${printable(line)}\n`).join('')}`
}

/** A way, a step a line, each with the row that says so. */
export function pathText({ from, isFound, goal, steps, pass, coverage }: PathDetail): string {
  const looked = pass === null ? 'the graph was not looked at yet' : `as of ${pass.beganAt.toISOString()}`
  const head = !isFound
    ? `no way from ${from.name} is seen, ${looked}`
    : steps.length === 0
      ? `${from.name} is tier 0 itself`
      : `${from.name} comes to ${goal?.name ?? 'there'} in ${steps.length} step${steps.length === 1 ? '' : 's'}, ${looked}`
  const lines = [
    head,
    ...steps.map(({ from: by, words, to, evidence }, at) => {
      const place = evidence.source === null ? 'the record' : evidence.source
      return `${String(at + 1).padStart(3)} ${by.name} ${words} ${to.name}   [${evidence.kind}: ${evidence.what}, told by ${place}]`
    }),
    ...(coverage.isWhole ? [] : ['Not everything was seen, so a shorter way may be there: reeve inventory coverage']),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

/** Owners and business services are proposed for identities; what nobody claims is none yet, which an empty list does not say by itself. */
export function nobodyText({ items }: CandidatePage | ServicePage): string | undefined {
  if (items.length > 0) return undefined
  return [
    'nothing: no evidence names anything for an identity that waits for it',
    'what sources told and nobody claims is no identity yet: reeve inventory adopt --every --dry-run',
    'what was adopted by a rule just now is weighed within a minute, or by reeve owner evaluate',
    '',
  ].join('\n')
}
