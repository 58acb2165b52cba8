import { RECENT_DAYS, type KeepingFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const personAndJob: Rule<KeepingFacts> = {
  id: 'person-and-job',
  owasp: 'NHI10:2025',
  title: 'A person and a job have the same secret',
  why: 'What the person did and what the job did look the same, and the secret cannot be ended when the person leaves without stopping the job.',
  needs: `who holds the same secret, what keeps it, and who used it in the last ${RECENT_DAYS} days; every source seen whole before it may be said that nobody shares it`,
  fix: 'Give the job a credential of its own, then end this one.',
  control: 'Credentials of people are never handed to jobs; jobs prove what they are.',
  judge(facts) {
    const dark = unread(facts)
    if (dark) return dark
    const { people, jobs, hasFingerprint, isAllWhole, readAt } = facts
    if (people.length > 0 && jobs.length > 0) {
      return found('medium', readAt, [`people: ${people.join(', ')}`, `jobs: ${jobs.join(', ')}`])
    }
    if (!hasFingerprint) return unknown('the source gives nothing to recognise the secret by')
    return isAllWhole ? clear(readAt) : unknown('not every source was seen whole, so another holder may be unseen')
  },
}
