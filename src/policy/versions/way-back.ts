import type { Db } from '../../kernel/db.ts'
import { newId } from '../../kernel/random.ts'
import { isBootstrap, principalEntities } from '../../identities/identities.ts'
import { missingApprovals, type Approval } from '../approval.ts'
import { decide } from '../decide.ts'
import type { PolicySet } from '../policy-set.ts'
import { policiesLockOut } from './contract.ts'
import type { PolicyVersionNeeds } from './needs.ts'

/** More people than this are not asked: one is enough. */
const MOST_PEOPLE = 1_000

const RESOURCE = { type: 'PolicySet', id: 'installation' }

/**
 * Refuses policies under which nobody could bring the old ones back by Reeve itself: each active person is asked for with the new set, and others must be
 * there who could approve it. Throws `policiesLockOut`.
 */
export async function mustLeaveWayBack(db: Db, needs: PolicyVersionNeeds, set: PolicySet): Promise<void> {
  const people = await peopleOf(db, needs)
  const bootstrap = await isBootstrap(db)
  using engine = await needs.open(set)
  const missing = new Set<string>()
  for (const { approver: id } of people) {
    const decision = decide(
      engine,
      {
        subject: { type: 'Person', id },
        action: { name: 'policy.revert' },
        resource: RESOURCE,
        context: { channel: 'api', requestKind: 'ordinary', freeze: false, bootstrap, reasonGiven: true },
      },
      {
        decisionId: newId(needs.clock, needs.random),
        now: needs.clock.now(),
        epoch: set.sha256,
        entities: [...(await principalEntities(db, needs.teams, id)), { ...RESOURCE, attributes: { id: RESOURCE.id } }],
      },
    )
    if (!decision.decision) continue
    const facts = { ownerOfTarget: null, ownerOfSubject: null, excluded: new Set([id]) }
    const lacking = missingApprovals(decision.obligations.approval, people, facts)
    if (lacking.length === 0) return
    for (const way of lacking) missing.add(way)
  }
  const ways = [...missing].slice(0, 10)
  throw policiesLockOut(
    missing.size === 0
      ? 'Under these policies nobody may do policy.revert, so nobody could take them back.'
      : `Under these policies nobody could approve policy.revert; there would have to be ${ways.join('; or ')}.`,
    { missing: ways },
  )
}

async function peopleOf(db: Db, { teams, clock }: PolicyVersionNeeds): Promise<Approval[]> {
  const rows = await db
    .selectFrom('identity')
    .select(['id', 'name'])
    .where('kind', '=', 'human')
    .where('profile', '=', 'person')
    .where('state', '=', 'active')
    .where('ownerId', 'is', null)
    .orderBy('isFounder', 'desc')
    .orderBy('id')
    .limit(MOST_PEOPLE)
    .execute()
  const now = clock.now()
  return rows.map(({ id, name }) => {
    const of = teams.teamsOf(name)
    return { approver: id, teams: of, onCall: of.filter((team) => teams.onCall(team, now).includes(name)) }
  })
}
