import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const unpinnedAction: Rule<TrustFacts> = {
  id: 'unpinned-action',
  owasp: 'NHI3:2025',
  title: 'A pipeline runs the code of others by a name that can be moved',
  why: 'Whoever takes over the action moves its tag, and their code runs with the secrets and the token of the pipeline at its next run.',
  needs: 'the pipeline files of the repository',
  fix: 'Name the action by the hash of a commit (40 hexadecimal characters) that was looked at, with the version in a comment.',
  control: 'The forge refuses actions that are not named by a hash, or only takes those of a list.',
  judge({ nativeKind, isWildcard, where, isPresent, isWhole, readAt }) {
    if (nativeKind !== 'pipeline-action') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (!isWildcard) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    return found(
      'medium',
      readAt,
      [where ?? 'the name is no hash of a commit'],
      ['what the action does was not looked at'],
    )
  },
}
