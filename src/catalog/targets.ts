import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import type { Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import type { EntityRef, Permit } from '../kernel/permit.ts'
import { conflict, invalidInput, nameTaken } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import { Secret } from '../kernel/secret.ts'
import { translating } from '../kernel/violation.ts'
import { actOf } from '../identities/identities.ts'
import { continuesAtTier0, type Login, type RegisterTarget, type Target, type UpdateTarget } from './schemas.ts'
import { exceptionDeclared, targetRegistered, targetRetired, targetUpdated } from './events.ts'
import { modeAt } from './modes.ts'
import { lockTarget, TARGET_COLUMNS, targetFrom, type CatalogNeeds } from './records.ts'

/** Registers a system that can be reached. Its login is sealed for this row and no answer holds it. */
export async function registerTarget(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit<'target.register'>,
  input: RegisterTarget,
): Promise<Target> {
  const { name, protocol, environment, sensitivity, ownerTeam, onControlLoss, onRecorderLoss } = input
  const settings = settingsOf(needs, protocol, input.settings)
  mustBeTeam(needs, ownerTeam)
  mustEndAtTier0(input, name)
  const id = newId(needs.clock, needs.random)
  const known = { name, protocol, environment, sensitivity, ownerTeam, onControlLoss, onRecorderLoss }
  const resource = { type: 'Target', id }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: targetRegistered,
    resource,
    facts: { ...known, mode: 'enforce', settings, hasNewProvisioner: input.provisioner !== undefined },
  })
  await declareException(tx, needs, permit, resource, { ...known, reason: input.exceptionReason })
  const row = await translating(meaningsFor(name), () =>
    tx
      .insertInto('target')
      .values({
        ...known,
        id,
        businessService: input.businessService ?? null,
        settings: JSON.stringify(settings),
        sealedProvisioner: input.provisioner ? sealLogin(needs.seal, id, input.provisioner) : null,
        createdAt: needs.clock.now(),
        cause,
      })
      .returning(TARGET_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
  return targetFrom(row)
}

/** Changes a target. A login never follows a target to another address: new settings need it anew. */
export async function updateTarget(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit<'target.update'>,
  change: UpdateTarget,
): Promise<Target> {
  const seen = await lockTarget(tx, permit.resource.id)
  const settings = change.settings ? settingsOf(needs, seen.protocol, change.settings) : seen.settings
  if (!isDeepStrictEqual(settings, seen.settings)) await mustBringLogins(tx, seen, change)
  if (change.ownerTeam !== undefined) mustBeTeam(needs, change.ownerTeam)
  const next = {
    environment: change.environment ?? seen.environment,
    sensitivity: change.sensitivity ?? seen.sensitivity,
    ownerTeam: change.ownerTeam ?? seen.ownerTeam,
    onControlLoss: change.onControlLoss ?? seen.onControlLoss,
    onRecorderLoss: change.onRecorderLoss ?? seen.onRecorderLoss,
  }
  mustEndAtTier0(next, seen.name)
  const mode = modeAt(next.sensitivity, seen.mode)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: targetUpdated,
    facts: {
      fields: Object.keys(change),
      ...next,
      mode,
      settings,
      hasNewProvisioner: change.provisioner !== undefined,
    },
  })
  const isNewlyLoose =
    (next.onControlLoss === 'continue' && seen.onControlLoss === 'end') ||
    (next.onRecorderLoss === 'continue' && seen.onRecorderLoss === 'end')
  if (isNewlyLoose) {
    await declareException(tx, needs, permit, permit.resource, { ...next, reason: change.exceptionReason })
  }
  const row = await translating(meaningsFor(seen.name), () =>
    tx
      .updateTable('target')
      .set({
        ...next,
        // Becoming tier 0 tightens by itself: nothing there goes through.
        mode,
        ...(change.businessService !== undefined && { businessService: change.businessService }),
        ...(change.provisioner && { sealedProvisioner: sealLogin(needs.seal, seen.id, change.provisioner) }),
        settings: JSON.stringify(settings),
        version: seen.version + 1,
        cause,
      })
      .where('id', '=', seen.id)
      .where('version', '=', seen.version)
      .where('state', '=', 'active')
      .returning(TARGET_COLUMNS)
      .executeTakeFirst(),
  )
  if (!row) throw changedMeanwhile(seen)
  return targetFrom(row)
}

/** Ends a target for good, with the grants on it. Its login stays sealed, since leases there still have to be ended. */
export async function retireTarget(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit<'target.retire'>,
  input: { readonly reason: string },
): Promise<Target> {
  const seen = await lockTarget(tx, permit.resource.id)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: targetRetired,
    facts: { reason: input.reason },
  })
  const row = await tx
    .updateTable('target')
    .set({ state: 'retired', version: seen.version + 1, cause })
    .where('id', '=', seen.id)
    .where('state', '=', 'active')
    .returning(TARGET_COLUMNS)
    .executeTakeFirst()
  if (!row) throw changedMeanwhile(seen)
  await needs.onTargetRetired(tx, { targetId: seen.id, cause })
  return targetFrom(row)
}

function changedMeanwhile(target: Target) {
  return conflict('The target changed meanwhile; look again.', { type: 'Target', id: target.id, state: target.state })
}

const AnyRecord = z.record(z.string(), z.unknown())

/** The settings as the protocol's own schema gives them; problems name the field below `settings`. */
function settingsOf(needs: CatalogNeeds, protocol: string, given: Record<string, unknown>): Record<string, unknown> {
  const known = needs.protocols.get(protocol)
  if (!known)
    throw invalid('protocol', `there is no gateway for it; there is ${[...needs.protocols.keys()].join(', ')}`)
  const parsed = known.settings.safeParse(given)
  if (!parsed.success) {
    const issues = parsed.error.issues
      .slice(0, 100)
      .map(({ path, message }) => ({ path: ['settings', ...path].join('.'), message }))
    throw invalidInput(`The settings are not those of ${protocol}.`, { issues })
  }
  return AnyRecord.parse(parsed.data)
}

/** Otherwise who may change an address could have the old login sent to a machine of theirs. */
async function mustBringLogins(tx: Tx, seen: Target, change: UpdateTarget): Promise<void> {
  const row = await tx
    .selectFrom('target')
    .select('sealedProvisioner')
    .where('id', '=', seen.id)
    .executeTakeFirstOrThrow()
  if (row.sealedProvisioner !== null && change.provisioner === undefined) {
    throw invalid('provisioner', 'give the login again: it does not follow the target to other settings')
  }
  const fixed = await tx
    .selectFrom('account')
    .select('id')
    .where('targetId', '=', seen.id)
    .where('sealedCredential', 'is not', null)
    .limit(1)
    .executeTakeFirst()
  if (fixed) throw invalid('settings', 'static accounts have credentials of this address: register a new target')
}

type Losses = Pick<Target, 'sensitivity' | 'onControlLoss' | 'onRecorderLoss'>

function isLoose({ onControlLoss, onRecorderLoss }: Omit<Losses, 'sensitivity'>): boolean {
  return onControlLoss === 'continue' || onRecorderLoss === 'continue'
}

function mustEndAtTier0(target: Losses, name: string): void {
  if (target.sensitivity === 0 && isLoose(target)) throw atTier0(name)
}

function atTier0(name: string, options?: ErrorOptions) {
  return continuesAtTier0('At tier 0 sessions end when control or the recorder is lost.', { target: name }, options)
}

function meaningsFor(name: string) {
  return {
    target_name_is_unique: (error: unknown) =>
      nameTaken(`A target named ${name} exists.`, { type: 'Target', name }, { cause: error }),
    nothing_continues_at_tier_0: (error: unknown) => atTier0(name, { cause: error }),
  }
}

/** Core 17: going on without control or recorder is an exception that somebody declares, with a reason, in the ledger. */
async function declareException(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit,
  resource: EntityRef,
  declared: Omit<Losses, 'sensitivity'> & { readonly reason: string | undefined },
): Promise<void> {
  if (!isLoose(declared)) return
  const { onControlLoss, onRecorderLoss, reason } = declared
  if (reason === undefined) throw invalid('exceptionReason', 'say why sessions may go on')
  await needs.ledger.record(tx, {
    ...actOf(permit),
    event: exceptionDeclared,
    resource,
    facts: { onControlLoss, onRecorderLoss, reason },
  })
}

export function mustBeTeam(needs: Pick<CatalogNeeds, 'teams'>, team: string): void {
  if (!needs.teams.has(team)) throw invalid('ownerTeam', 'there is no such team')
}

function sealLogin(seal: Seal, targetId: string, login: Login): Buffer {
  return seal.seal(new Secret(JSON.stringify(login)), `target.sealed_provisioner:${targetId}`)
}
