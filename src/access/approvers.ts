import type { Db } from '../kernel/db.ts'
import type { Identity } from '../identities/contract.ts'
import { teamsAsOf, type Teams } from '../identities/identities.ts'
import { groupsOf, type Approval, type ApprovalExpression, type ApprovalFacts } from '../policy/policy.ts'

/** The teams that a gate names, owners resolved; their people see the request in their inbox. */
export function approverTeamsOf(
  gates: readonly ApprovalExpression[],
  facts: Pick<ApprovalFacts, 'ownerOfTarget' | 'ownerOfSubject'>,
): string[] {
  const teams = gates
    .flatMap((gate) => [...groupsOf(gate)])
    .map((group) => {
      if (group.kind !== 'owner') return group.team
      return group.of === 'target' ? facts.ownerOfTarget : facts.ownerOfSubject
    })
  return [...new Set(teams.filter((team) => team !== null))].sort()
}

/** Everybody of these teams who could speak now, as if all had approved. */
export async function rosterOf(db: Db, teams: Teams, of: readonly string[], now: Date): Promise<Approval[]> {
  const names = [...new Set(of.flatMap((team) => teams.membersOf(team)))]
  if (names.length === 0) return []
  const people = await db
    .selectFrom('identity')
    .select(['id', 'name', 'ownerId'])
    .where('name', 'in', names)
    .where('kind', '=', 'human')
    .where('profile', '=', 'person')
    .where('state', '=', 'active')
    .execute()
  return people.map((person) => ({ approver: personOf(person), ...groupsAt(teams, person.name, now) }))
}

/** The teams a person is in, and those of them that they were on call for at that instant. */
export function groupsAt(
  teams: Teams,
  name: string,
  at: Date,
): Pick<Approval, 'teams'> & { readonly onCall: readonly string[] } {
  const of = teams.teamsOf(name)
  return { teams: of, onCall: of.filter((team) => teams.onCall(team, at).includes(name)) }
}

/** Those who approved a request and still could. */
export async function approvalsOf(db: Db, teams: Teams, requestId: string): Promise<Counted[]> {
  const spoken = await db
    .selectFrom('requestApproval as a')
    .innerJoin('identity', 'identity.id', 'a.approverId')
    .select(SPOKE)
    .where('a.requestId', '=', requestId)
    .where('a.verdict', '=', 'approve')
    .orderBy('identity.id')
    .execute()
  return countedOf(await teamsAsOf(db, teams), spoken)
}

/** What there is to know of an identity that approved something, of the row `a` that says so. */
export const SPOKE = [
  'identity.id',
  'identity.name',
  'identity.kind',
  'identity.profile',
  'identity.state',
  'identity.ownerId',
  'a.at',
] as const

type Spoke = Pick<Identity, 'id' | 'name' | 'kind' | 'profile' | 'state' | 'ownerId'> & { readonly at: Date }

/** An approval that counts, and whose row it is. */
export type Counted = Approval & { readonly id: string }

/**
 * Whose approvals count, of a request or of anything else: those who may be expected to (`rosterOf`), active identities of the profile of
 * people with the teams they are in now. On call is who was when they spoke: a shift that ends takes nothing back.
 */
export function countedOf(teams: Teams, spoken: readonly Spoke[]): Counted[] {
  return spoken
    .filter(({ kind, profile, state }) => kind === 'human' && profile === 'person' && state === 'active')
    .map((each) => ({ id: each.id, approver: personOf(each), ...groupsAt(teams, each.name, each.at) }))
}

/** A human identity that has an owner is that person's further identity: both are one approver. */
export function personOf(identity: { readonly id: string; readonly ownerId: string | null }): string {
  return identity.ownerId ?? identity.id
}
