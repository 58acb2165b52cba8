import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { newId, type Random } from '../../kernel/random.ts'
import { isBootstrap, principalEntities, type Teams } from '../../identities/identities.ts'
import { missingApprovals, type Approval } from '../approval.ts'
import { decide } from '../decide.ts'
import type { Engine } from '../evaluate.ts'
import { rulesLockOut } from './contract.ts'

/** More people than this are not asked: one is enough. */
const MOST_PEOPLE = 1_000

/** The ways back that have to stay open: who may decide what decides, and who counts for it. */
const WAYS = [
  { kind: 'policies', action: 'policy.revert', type: 'PolicySet' },
  { kind: 'teams', action: 'team.revert', type: 'TeamList' },
] as const

export type WayBackNeeds = {
  readonly clock: Clock
  readonly random: Random
  readonly teams: Teams
  /** Kinds that versions decide, and not files: these need a way back. */
  readonly versioned: ReadonlySet<string>
}

/** What would decide. */
type Deciding = { readonly engine: Engine; readonly teams: Teams }

/**
 * Refuses rules under which nobody could bring the old ones back by Reeve itself: each active person is asked for with them, and others must be there who
 * could approve it. Throws `rulesLockOut`.
 */
export async function mustLeaveWayBack(db: Db, needs: WayBackNeeds, deciding: Deciding): Promise<void> {
  const people = await peopleOf(db, needs, deciding.teams)
  const bootstrap = await isBootstrap(db)
  for (const way of WAYS) {
    if (needs.versioned.has(way.kind)) await mustLeave(db, needs, deciding, { way, people, bootstrap })
  }
}

async function mustLeave(
  db: Db,
  needs: WayBackNeeds,
  { engine, teams }: Deciding,
  asked: { readonly way: (typeof WAYS)[number]; readonly people: readonly Approval[]; readonly bootstrap: boolean },
): Promise<void> {
  const { way, people, bootstrap } = asked
  const { action, type } = way
  const resource = { type, id: 'installation' }
  const missing = new Set<string>()
  for (const { approver: id } of people) {
    const decision = decide(
      engine,
      {
        subject: { type: 'Person', id },
        action: { name: action },
        resource,
        context: { channel: 'api', requestKind: 'ordinary', freeze: false, bootstrap, reasonGiven: true },
      },
      {
        decisionId: newId(needs.clock, needs.random),
        now: needs.clock.now(),
        epoch: engine.set.sha256,
        entities: [...(await principalEntities(db, teams, id)), { ...resource, attributes: { id: resource.id } }],
      },
    )
    if (!decision.decision) continue
    const facts = { ownerOfTarget: null, ownerOfSubject: null, excluded: new Set([id]) }
    const lacking = missingApprovals(decision.obligations.approval, people, facts)
    if (lacking.length === 0) return
    for (const each of lacking) missing.add(each)
  }
  const ways = [...missing].slice(0, 10)
  throw rulesLockOut(
    missing.size === 0
      ? `Nobody might do ${action} then, so nobody could take it back.`
      : `Nobody could approve ${action} then; there would have to be ${ways.join('; or ')}.`,
    { missing: ways },
  )
}

async function peopleOf(db: Db, { clock }: WayBackNeeds, teams: Teams): Promise<Approval[]> {
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
