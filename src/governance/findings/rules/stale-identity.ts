import { UNUSED_DAYS, type IdentityFacts } from '../facts/facts.ts'
import { clear, dayOf, found, isOlder, unknown, type Rule } from '../rule.ts'

export const staleIdentity: Rule<IdentityFacts> = {
  id: 'stale-identity',
  owasp: 'NHI1:2025',
  title: `It did nothing through Reeve for ${UNUSED_DAYS} days`,
  why: 'What is not used any more and can still act is missed by nobody when somebody else uses it.',
  needs: 'requests and uses of grants, which Reeve records itself, and what sources told of its accounts',
  fix: 'Ask its owner; suspend it, and retire it when nothing broke.',
  control: 'An expiry date at registration: what is needed is renewed, and the rest ends by itself.',
  judge({ kind, state, createdAt, lastActAt, lastSeenUseAt, liveTokens, standing, now }) {
    if (kind === 'human' || state !== 'active') return clear(now)
    if (!isOlder(createdAt, UNUSED_DAYS, now)) return unknown(`it is younger than ${UNUSED_DAYS} days`)
    const acts = [lastActAt, lastSeenUseAt].filter((at) => at !== null)
    if (acts.some((at) => !isOlder(at, UNUSED_DAYS, now))) return clear(now)
    const last = lastActAt === null ? 'it never asked for anything' : `its last act was on ${dayOf(lastActAt)}`
    return found(
      'low',
      now,
      [last],
      [
        ...(liveTokens > 0 ? ['whether it reads from the API with its tokens is not counted'] : []),
        ...(standing.length > 0 ? ['its own accounts may be used where no source tells of it'] : []),
      ],
    )
  },
}
