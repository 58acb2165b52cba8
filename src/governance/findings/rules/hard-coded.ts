import type { CredentialFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const hardCoded: Rule<CredentialFacts> = {
  id: 'hard-coded',
  owasp: 'NHI2:2025',
  title: 'A secret stands in code, an image or a log',
  why: 'Whoever may read the code has it, so does every copy of it, and taking it out of the newest state takes it from nobody.',
  needs: 'the source tree with its history, the image or the log, seen whole',
  fix: 'Replace the secret where it is used and end it; only then take it out of the code.',
  control: 'A hook refuses commits and pushes with secrets (`reeve scan --pre-receive`), and programs get leases.',
  judge(facts) {
    const { heldBy, isInNewest, confidence, liveAs, isAllWhole, isWhole, readAt } = facts
    if (heldBy !== 'source') return clear(readAt)
    const dark = unread(facts)
    if (dark) return dark
    // What only a name gave away may be no secret: the reading tells it, a person judges it.
    const isSure = confidence !== 'low'
    const severity = liveAs.length > 0 ? 'high' : isSure ? 'medium' : 'low'
    return found(
      severity,
      readAt,
      [
        isInNewest === false
          ? 'it stands in the history, the newest state does not have it'
          : 'it stands in the newest state',
        ...liveAs.map((name) => `it is ${name}`),
        ...(isSure ? [] : ['only the name it is assigned to gives it away']),
      ],
      [
        ...(liveAs.length === 0 && !isAllWhole ? ['not every source was seen whole: whose it is may be unseen'] : []),
        ...(isWhole ? [] : ['there may be more places']),
        ...(isInNewest === null ? ['whether the newest state has it was not seen'] : []),
      ],
    )
  },
}

/** Sources of code as far as they were read decide whether it may be said that a secret is in none. */
export function notInCode({ codeRead, readAt }: Pick<CredentialFacts, 'codeRead' | 'readAt'>) {
  if (codeRead === 'whole') return clear(readAt)
  return unknown(codeRead === 'none' ? 'no code is read' : 'not all code was seen whole')
}

/** Whether it is where secrets are meant to be kept. */
export function isKept(heldBy: string | null): boolean {
  return heldBy === 'vault' || heldBy === 'ci'
}
