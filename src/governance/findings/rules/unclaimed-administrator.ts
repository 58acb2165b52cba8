import type { PrincipalFacts } from '../facts/facts.ts'
import { clear, dayOf, found, unknown, type Rule } from '../rule.ts'

export const unclaimedAdministrator: Rule<PrincipalFacts> = {
  id: 'unclaimed-administrator',
  owasp: 'NHI5:2025',
  title: 'It comes to tier 0, and is no identity of the record',
  why: 'Nobody owns it, reviews it or would end it, and whoever takes it over is as good as an administrator.',
  needs:
    'the source with its rights and a look at the graph, and every source seen whole before it may be said that no way is there',
  fix: 'Bring it into the record with an owner (`reeve inventory adopt`), or take away the step of its way (`reeve path read`).',
  control: 'What administers is registered before it is made, and comes to tier 0 by leases alone.',
  judge({ canAct, state, isBuiltIn, isJudgedElsewhere, identityId, now, ...of }) {
    if (!canAct || isBuiltIn || isJudgedElsewhere || identityId !== null) return clear(now)
    if (!of.isPresent) return unknown('the last complete reading did not show it')
    if (state === 'disabled' || state === 'deleted') return clear(of.readAt)
    if (of.graphAt === null) return unknown('the graph was not looked at yet')
    if (of.hops === null) {
      return of.isAllWhole ? clear(of.graphAt) : unknown('not every source was seen whole, so a way may be unseen')
    }
    return found(
      'high',
      of.graphAt,
      [
        'nothing in the record is tied to it',
        of.hops === 0 ? 'it is of tier 0 itself' : `it is ${of.hops} step(s) from ${of.goal ?? 'something of tier 0'}`,
        ...(of.firstStep === null ? [] : [`the first: it ${of.firstStep}`]),
        ...(of.lastUsedAt === null ? [] : [`it was used on ${dayOf(of.lastUsedAt)}`]),
      ],
      [
        ...(state === null ? ['whether it is in force was not seen'] : []),
        ...(of.lastUsedAt === null ? ['no use of it was seen, which may have gone unseen'] : []),
      ],
    )
  },
}
