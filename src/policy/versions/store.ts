import { isDeepStrictEqual } from 'node:util'
import { sql } from 'kysely'
import { sha256 } from '../../kernel/crypto.ts'
import { violatedConstraint, type Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { actOf } from '../../identities/identities.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { PolicySet } from '../policy-set.ts'
import { setOf, setOfHere } from './build.ts'
import { nothingBefore, type PolicyFiles, type PolicyVersion, type ProposePolicies } from './contract.ts'
import { policiesActivated, policiesProposed } from './events.ts'
import { reachPolicy } from './fault-points.ts'
import { POLICY_HINT, type LivePolicies, type PolicyVersionNeeds } from './needs.ts'
import { findVersion, loadActivation, loadActive, type Active } from './records.ts'

/** Keeps a version that was found valid. */
export async function storeVersion(
  tx: Tx,
  needs: PolicyVersionNeeds,
  permit: Permit<'policy.propose'> | undefined,
  version: ProposePolicies & { readonly set: PolicySet },
): Promise<PolicyVersion> {
  const { files, set } = version
  const note = version.note ?? null
  const origin = permit ? 'proposed' : 'shipped'
  const id = newId(needs.clock, needs.random)
  const resource = { type: 'PolicySet', id }
  const cause = await needs.ledger.record(tx, {
    event: policiesProposed,
    ...(permit ? actOf(permit) : { actor: SYSTEM, outcome: 'done' as const }),
    resource,
    facts: {
      sha256: set.sha256,
      origin,
      files: files.map(({ name, text }) => ({ name, sha256: sha256(text).toString('hex') })),
      policies: set.policies.size,
      note,
    },
  })
  await tx
    .insertInto('policyVersion')
    .values({
      id,
      sha256: Buffer.from(set.sha256, 'hex'),
      files: JSON.stringify(files),
      origin,
      note,
      proposedBy: permit?.subject.id ?? null,
      createdAt: needs.clock.now(),
      cause,
    })
    .execute()
  await reachPolicy('policy.version-stored')
  return findVersion(tx, id)
}

/** What becomes active, and over what: looked at before anybody was asked, and held to in the transaction. */
export type Step = {
  readonly from: Active
  readonly versionId: string
  readonly set: PolicySet
  /** Where the way back leads from there. */
  readonly backTo: number | null
  readonly isRevert: boolean
}

/** Activates a version over the one that decides. */
export function stepTo(from: Active, version: { readonly id: string; readonly set: PolicySet }): Step {
  return { from, versionId: version.id, set: version.set, backTo: from.seq, isRevert: false }
}

/** The step back to what decided before the active version; from there further back goes where it went then. */
export async function stepBack(needs: PolicyVersionNeeds, from: Active): Promise<Step> {
  const before = from.backTo === null ? undefined : await loadActivation(needs.db, from.backTo)
  if (!before) throw nothingBefore('No other version of the policies decided before this one.', {})
  const set = await setOf(before.files, needs.schema)
  return { from, versionId: before.versionId, set, backTo: before.backTo, isRevert: true }
}

/**
 * Lets a version decide from the commit on. What it was compared with must still be what decides: a permit of another epoch, or another activation
 * meanwhile, is a conflict.
 */
export async function activateStep(
  tx: Tx,
  needs: PolicyVersionNeeds,
  live: Pick<LivePolicies, 'seq'>,
  permit: Permit<'policy.activate'> | Permit<'policy.revert'>,
  step: Step,
): Promise<PolicyVersion> {
  const now = await loadActive(tx)
  const isSame = now?.seq === step.from.seq && live.seq() === now.seq
  if (!isSame || permit.policyEpoch !== needs.engine.current().set.sha256) throw changedMeanwhile(step)
  await insertActivation(tx, needs, step, permit)
  return findVersion(tx, step.versionId)
}

async function insertActivation(
  tx: Tx,
  needs: PolicyVersionNeeds,
  step: Omit<Step, 'from'> & { readonly from: Active | undefined },
  permit?: Permit,
): Promise<void> {
  const { from, versionId, set, backTo, isRevert } = step
  const seq = (from?.seq ?? 0) + 1
  const cause = await needs.ledger.record(tx, {
    event: policiesActivated,
    ...(permit ? actOf(permit) : { actor: SYSTEM, outcome: 'done' as const }),
    resource: { type: 'PolicySet', id: versionId },
    facts: { sha256: set.sha256, versionId, seq, before: from?.sha256 ?? null, isRevert },
  })
  const activatedBy = permit?.subject.id ?? null
  const row = { seq, versionId, backTo, activatedBy, activatedAt: needs.clock.now(), cause }
  try {
    await tx.insertInto('policyActivation').values(row).execute()
  } catch (error) {
    if (violatedConstraint(error) === 'policy_activation_pkey') throw changedMeanwhile(step)
    throw error
  }
  await needs.announce(tx, `${POLICY_HINT}${seq}`)
  await reachPolicy('policy.activated')
}

function changedMeanwhile({ versionId }: Pick<Step, 'versionId'>) {
  return conflict('Other policies decide since this was looked at. Look again.', {
    type: 'PolicySet',
    id: versionId,
    state: 'superseded',
  })
}

/**
 * The policies of this release as a version. They are the first to decide; a later release's follow them where nobody activated others. One that was
 * there before is not made again, so that an older node that starts late takes nothing back.
 */
export async function ensureShipped(tx: Tx, needs: PolicyVersionNeeds, files: PolicyFiles): Promise<void> {
  // Nodes that start together take turns.
  await sql`select pg_advisory_xact_lock(hashtext('reeve shipped policies'))`.execute(tx)
  const known = await tx.selectFrom('policyVersion').select('files').where('origin', '=', 'shipped').execute()
  if (known.some((row) => isDeepStrictEqual(row.files, files))) return
  const set = setOfHere(files, needs.schema)
  const { id } = await storeVersion(tx, needs, undefined, { files, set })
  const from = await loadActive(tx)
  if (from && from.origin !== 'shipped') return
  await insertActivation(tx, needs, { from, versionId: id, set, backTo: from?.seq ?? null, isRevert: false })
}
