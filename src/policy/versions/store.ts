import { isDeepStrictEqual } from 'node:util'
import { sql } from 'kysely'
import { sha256 } from '../../kernel/crypto.ts'
import { violatedConstraint, type Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { actOf } from '../../identities/identities.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { nothingBefore, type RuleFiles, type RuleVersion } from './contract.ts'
import { ruleEventsOf } from './events.ts'
import { reachRules } from './fault-points.ts'
import type { KindNamed, Made, RuleKind } from './kind.ts'
import { RULES_HINT, type LiveRules, type RuleNeeds } from './needs.ts'
import { findVersion, loadActivation, loadActive, type Active } from './records.ts'

type StoreNeeds = Pick<RuleNeeds, 'clock' | 'random' | 'ledger' | 'announce'>

/** Keeps a version that was found valid. */
export async function storeVersion<M extends Made>(
  tx: Tx,
  needs: StoreNeeds,
  kind: RuleKind<M>,
  permit: Permit | undefined,
  version: { readonly files: RuleFiles; readonly note?: string | undefined; readonly made: M },
): Promise<RuleVersion> {
  const { files, made } = version
  const note = version.note ?? null
  const origin = permit ? 'proposed' : 'shipped'
  const id = newId(needs.clock, needs.random)
  const cause = await needs.ledger.record(tx, {
    event: ruleEventsOf[kind.name].proposed,
    ...(permit ? actOf(permit) : { actor: SYSTEM, outcome: 'done' as const }),
    resource: { type: kind.type, id },
    facts: {
      sha256: made.sha256,
      origin,
      files: files.map(({ name, text }) => ({ name, sha256: sha256(text).toString('hex') })),
      count: kind.count(made),
      note,
    },
  })
  await tx
    .insertInto('ruleVersion')
    .values({
      id,
      kind: kind.name,
      sha256: Buffer.from(made.sha256, 'hex'),
      files: JSON.stringify(files),
      origin,
      note,
      proposedBy: permit?.subject.id ?? null,
      createdAt: needs.clock.now(),
      cause,
    })
    .execute()
  await reachRules('rules.version-stored')
  return findVersion(tx, kind, id)
}

/** What becomes active, and over what: looked at before anybody was asked, and held to in the transaction. */
export type Step<M extends Made> = {
  readonly from: Active
  readonly versionId: string
  readonly made: M
  /** Where the way back leads from there. */
  readonly backTo: number | null
  readonly isRevert: boolean
}

/** Activates a version over the one that decides. */
export function stepTo<M extends Made>(from: Active, version: { readonly id: string; readonly made: M }): Step<M> {
  return { from, versionId: version.id, made: version.made, backTo: from.seq, isRevert: false }
}

/** The step back to what decided before the active version; from there further back goes where it went then. */
export async function stepBack<M extends Made>(
  { db }: Pick<RuleNeeds, 'db'>,
  kind: RuleKind<M>,
  from: Active,
): Promise<Step<M>> {
  const before = from.backTo === null ? undefined : await loadActivation(db, kind.name, from.backTo)
  if (!before) throw nothingBefore(`No other version of ${kind.called} decided before this one.`, {})
  const made = await kind.make(before.files)
  return { from, versionId: before.versionId, made, backTo: before.backTo, isRevert: true }
}

/**
 * Lets a version decide from the commit on. What it was compared with must still be what decides: a permit of another epoch, or another activation
 * meanwhile, is a conflict.
 */
export async function activateStep<M extends Made>(
  tx: Tx,
  needs: StoreNeeds & Pick<RuleNeeds, 'engine'>,
  kind: RuleKind<M>,
  { live, permit, step }: { readonly live: Pick<LiveRules, 'seq'>; readonly permit: Permit; readonly step: Step<M> },
): Promise<RuleVersion> {
  const now = await loadActive(tx, kind.name)
  const isSame = now?.seq === step.from.seq && live.seq() === now.seq
  if (!isSame || permit.policyEpoch !== needs.engine.current().set.sha256) throw changedMeanwhile(kind, step)
  await insertActivation(tx, needs, kind, step, permit)
  return findVersion(tx, kind, step.versionId)
}

async function insertActivation<M extends Made>(
  tx: Tx,
  needs: StoreNeeds,
  kind: RuleKind<M>,
  step: Omit<Step<M>, 'from'> & { readonly from: Active | undefined },
  permit?: Permit,
): Promise<void> {
  const { from, versionId, made, backTo, isRevert } = step
  const seq = (from?.seq ?? 0) + 1
  const cause = await needs.ledger.record(tx, {
    event: ruleEventsOf[kind.name].activated,
    ...(permit ? actOf(permit) : { actor: SYSTEM, outcome: 'done' as const }),
    resource: { type: kind.type, id: versionId },
    facts: { sha256: made.sha256, versionId, seq, before: from?.sha256 ?? null, isRevert },
  })
  const activatedBy = permit?.subject.id ?? null
  const row = { kind: kind.name, seq, versionId, backTo, activatedBy, activatedAt: needs.clock.now(), cause }
  try {
    await tx.insertInto('ruleActivation').values(row).execute()
  } catch (error) {
    if (violatedConstraint(error) === 'rule_activation_pkey') throw changedMeanwhile(kind, step)
    throw error
  }
  await kind.onActivated(tx, made, permit)
  await needs.announce(tx, `${RULES_HINT}${kind.name}:${seq}`)
  await reachRules('rules.activated')
}

function changedMeanwhile({ type, called }: KindNamed, { versionId }: { readonly versionId: string }) {
  return conflict(`Another version of ${called} decides since this was looked at. Look again.`, {
    type,
    id: versionId,
    state: 'superseded',
  })
}

/**
 * What files at a start say, as a version. The first of a kind decides; what comes later follows as its kind allows, and never what somebody
 * proposed. One that was there before is not made again, so that an older node that starts late takes nothing back.
 */
export async function ensureShipped<M extends Made>(
  tx: Tx,
  needs: StoreNeeds,
  kind: RuleKind<M>,
  files: RuleFiles,
): Promise<void> {
  // Nodes that start together take turns.
  await sql`select pg_advisory_xact_lock(hashtext(${`reeve shipped ${kind.name}`}))`.execute(tx)
  const known = await tx
    .selectFrom('ruleVersion')
    .select('files')
    .where('kind', '=', kind.name)
    .where('origin', '=', 'shipped')
    .execute()
  if (known.some((row) => isDeepStrictEqual(row.files, files))) return
  const from = await loadActive(tx, kind.name)
  const isNext = from === undefined || (from.origin === 'shipped' && kind.mayFollow(from))
  // Of policies each release's are kept, so that they can be activated later.
  if (!isNext && kind.name !== 'policies') return
  const made = await kind.make(files)
  const { id } = await storeVersion(tx, needs, kind, undefined, { files, made })
  if (!isNext) return
  await insertActivation(tx, needs, kind, { from, versionId: id, made, backTo: from?.seq ?? null, isRevert: false })
}
