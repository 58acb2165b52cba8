import type { Db } from '../kernel/db.ts'
import { linkTo } from '../kernel/entity.ts'
import type { Resource } from '../kernel/http/route.ts'
import type { AccountFacts, TargetFacts } from './facts.ts'
import type { Purpose } from './schemas.ts'

/** What policies know of a target. */
export function targetResource(target: TargetFacts): Resource {
  return { type: 'Target', id: target.id, attributes: factsOf(target, target.id, target.name, target.sensitivity) }
}

/** What policies know of an account: its target's facts too, and the stricter of both tiers. */
export function accountResource(account: AccountFacts, target: TargetFacts): Resource {
  return {
    type: 'Account',
    id: account.id,
    attributes: factsOf(target, account.id, account.name, Math.min(account.tier, target.sensitivity)),
    parents: [{ type: 'Target', id: target.id }],
  }
}

function factsOf(target: TargetFacts, id: string, name: string, tier: number) {
  return {
    id,
    name,
    kind: target.protocol,
    environment: target.environment,
    sensitivity: String(target.sensitivity),
    tier,
    ownerTeam: linkTo('Team', target.ownerTeam),
  }
}

/** What policies know of a purpose, with the teams that own the targets it names. */
export async function purposeResource(db: Db, purpose: Purpose): Promise<Resource> {
  const owners = await db
    .selectFrom('purposeTarget')
    .innerJoin('target', 'target.id', 'purposeTarget.targetId')
    .select('target.ownerTeam')
    .distinct()
    .where('purposeTarget.purposeId', '=', purpose.id)
    .orderBy('target.ownerTeam')
    .execute()
  return {
    type: 'Purpose',
    id: purpose.id,
    attributes: {
      id: purpose.id,
      name: purpose.name,
      state: purpose.state,
      requestedBy: purpose.proposedBy,
      ownerTeam: linkTo('Team', purpose.ownerTeam),
      ownerTeams: owners.map((row) => linkTo('Team', row.ownerTeam)),
    },
  }
}
