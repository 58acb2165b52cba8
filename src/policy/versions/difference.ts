import type { Policy, PolicySet } from '../policy-set.ts'
import { changesOf } from '../tools/diff.ts'

/**
 * What another set would change, in lines as approvers read them: each policy that is added, removed or changed, with its text before and after.
 */
export function differenceOf(before: PolicySet, after: PolicySet): string[] {
  const lines: string[] = []
  for (const { id, kind, effect, note } of changesOf(before.policies, after.policies)) {
    lines.push(`${kind}: ${effect} ${id}${note === '' ? '' : ` (${note})`}`)
    const [was, is] = [before.policies.get(id), after.policies.get(id)]
    if (kind !== 'added' && was) lines.push(...textOf(was, '-'))
    if (kind !== 'removed' && is) lines.push(...textOf(is, '+'))
  }
  if (before.schema.sha256 !== after.schema.sha256) lines.push('the schema is another one')
  if (before.risk.sha256 !== after.risk.sha256) lines.push(...riskLines(before, after))
  if (before.words.sha256 !== after.words.sha256) lines.push(...wordLines(before, after))
  return lines
}

function textOf({ text }: Policy, mark: '-' | '+'): string[] {
  return text.split('\n').map((line) => `${mark} ${line}`)
}

function riskLines(before: PolicySet, after: PolicySet): string[] {
  return ['the weights of the risk are others', ...dataLines(before.risk, '-'), ...dataLines(after.risk, '+')]
}

function wordLines(before: PolicySet, after: PolicySet): string[] {
  const title = 'what enforcement points call things, or what is listed of them, is other'
  return [title, ...dataLines(before.words, '-'), ...dataLines(after.words, '+')]
}

function dataLines(data: PolicySet['risk'] | PolicySet['words'], mark: string): string[] {
  return JSON.stringify({ ...data, sha256: undefined, text: undefined }, null, 1)
    .split('\n')
    .map((line) => `${mark} ${line}`)
}
