import type { ActionEntry } from '../../catalog/contract.ts'

/** What another catalog would change, a sentence each; a tier that becomes less sensitive is said to. */
export function catalogDifference(before: readonly ActionEntry[], after: readonly ActionEntry[]): string[] {
  const old = new Map(before.map((entry) => [entry.name, entry]))
  return after
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((is) => {
      const was = old.get(is.name)
      return was ? entryLines(was, is) : [`${is.name} is new`]
    })
}

function entryLines(was: ActionEntry, is: ActionEntry): string[] {
  const lines = [
    ...tierLine('in production', was.tier, is.tier),
    ...tierLine('elsewhere', was.tierElsewhere ?? was.tier, is.tierElsewhere ?? is.tier),
  ]
  const [owed, owes] = [owedWords(was), owedWords(is)]
  if (owed !== owes) lines.push(`it always owes ${owes}; it owed ${owed}`)
  if (was.summary !== is.summary) lines.push(`it is summed up as: ${is.summary}`)
  for (const what of ['owns', 'holds', 'credentials'] as const) {
    if (was.deciders[what] !== is.deciders[what]) {
      lines.push(`${is.deciders[what]} decides ${DECIDED[what]}, not ${was.deciders[what]}`)
    }
  }
  return lines.map((line) => `${is.name}: ${line}`)
}

const DECIDED = {
  owns: 'what it takes to do it',
  holds: 'who may hold it',
  credentials: 'how its credentials live',
} as const

function tierLine(where: string, was: number, is: number): string[] {
  if (was === is) return []
  return [`tier ${was} ${where} becomes ${is}, which is ${is > was ? 'less' : 'more'} sensitive`]
}

function owedWords({ obligations }: ActionEntry): string {
  const words = Object.entries(obligations)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => (value === '' ? `@${name}` : `@${name}("${value}")`))
  return words.length === 0 ? 'nothing' : words.join(' ')
}
