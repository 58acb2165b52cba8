import type { Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict, nameTaken } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'
import { actOf, findIdentity } from '../identities/identities.ts'
import { accountClaimed, accountRegistered, accountRetired } from './events.ts'
import { findAccount, loadAccount, lockTarget, type CatalogNeeds } from './records.ts'
import type { Account, AccountDetail, RegisterAccount, Target } from './schemas.ts'

/** Registers an account to act as. One that a survey has seen becomes it and keeps what was seen. */
export async function registerAccount(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit<'account.register'>,
  input: RegisterAccount,
): Promise<AccountDetail> {
  const target = await lockTarget(tx, permit.resource.id)
  if (input.mode === 'static' && input.password === undefined) {
    throw invalid('password', 'a static account needs its credential')
  }
  if (input.mode === 'lease' && input.password !== undefined) {
    throw invalid('password', 'the credentials of leases are made when they are needed')
  }
  await mustBeActionsOf(tx, target, Object.keys(input.roles))
  const standing = await loadAccount(tx, target.id, input.name)
  if (standing && standing.mode !== 'seen') {
    throw nameTaken('This account of the target is registered already.', { type: 'Account', name: input.name })
  }
  const id = standing?.id ?? newId(needs.clock, needs.random)
  const tier = tierOf(target, standing?.attributes, input.tier)
  const { name, mode, databases, roles } = input
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: accountRegistered,
    resource: { type: 'Account', id },
    facts: { targetId: target.id, name, mode, databases, tier, roles },
  })
  const values = {
    mode,
    databases,
    tier,
    sealedCredential:
      input.password === undefined
        ? null
        : needs.seal.seal(new Secret(input.password), `account.sealed_credential:${id}`),
    cause,
  }
  if (standing) {
    await tx
      .updateTable('account')
      .set({ ...values, version: standing.version + 1 })
      .where('id', '=', id)
      .where('mode', '=', 'seen')
      .executeTakeFirstOrThrow()
  } else {
    await tx
      .insertInto('account')
      .values({ ...values, id, targetId: target.id, name, identityId: null, attributes: '{}', seenAt: null })
      .execute()
  }
  const rows = Object.entries(roles).map(([action, role]) => ({ accountId: id, action, role, cause }))
  if (rows.length > 0) await tx.insertInto('accountRole').values(rows).execute()
  return findAccount(tx, id)
}

/** Core 19: nothing at the target bounds a superuser, so it is tier 0 whatever anybody says. */
export function tierOf(target: Target, attributes: Account['attributes'] | undefined, asked?: number): number {
  return attributes?.isSuperuser === true ? 0 : (asked ?? target.sensitivity)
}

async function mustBeActionsOf(tx: Tx, target: Target, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  const known = await tx
    .selectFrom('privilegedAction')
    .select('name')
    .where('protocol', '=', target.protocol)
    .where('name', 'in', names)
    .execute()
  const unknown = names.filter((name) => !known.some((row) => row.name === name))
  if (unknown.length > 0) throw invalid('roles', `${target.protocol} has no action ${unknown.join(', ')}`)
}

/**
 * Ends an account for good, with the grants on it: what was lent under them is ended by their ends, so its own credential stays sealed.
 * At the target nothing is removed; one that was only seen there is not ours to end.
 */
export async function retireAccount(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit<'account.retire'>,
  input: { readonly reason: string },
): Promise<AccountDetail> {
  const seen = await findAccount(tx, permit.resource.id)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: accountRetired,
    facts: { reason: input.reason },
  })
  const retired = await tx
    .updateTable('account')
    .set((row) => ({ state: 'retired' as const, version: row('version', '+', 1), cause }))
    .where('id', '=', seen.id)
    .where('state', '=', 'active')
    .where('mode', '<>', 'seen')
    .executeTakeFirst()
  if (retired.numUpdatedRows !== 1n) {
    throw conflict('The account is retired, or was only seen at its target.', {
      type: 'Account',
      id: seen.id,
      state: seen.state === 'retired' ? 'retired' : seen.mode,
    })
  }
  await needs.onAccountRetired(tx, { accountId: seen.id, cause })
  return findAccount(tx, seen.id)
}

/** Says which identity an account belongs to, so that somebody answers for it. */
export async function claimAccount(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit<'account.claim'>,
  input: { readonly identity: string },
): Promise<AccountDetail> {
  const seen = await findAccount(tx, permit.resource.id)
  const identity = await findIdentity(tx, input.identity)
  if (identity.state === 'retired') throw invalid('identity', 'this identity is retired')
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: accountClaimed,
    facts: { identityId: identity.id, previousId: seen.identityId },
  })
  const claimed = await tx
    .updateTable('account')
    .set({ identityId: identity.id, version: seen.version + 1, cause })
    .where('id', '=', seen.id)
    .where('version', '=', seen.version)
    .where('state', '=', 'active')
    .executeTakeFirst()
  if (claimed.numUpdatedRows !== 1n) {
    throw conflict('The account changed meanwhile or is retired.', { type: 'Account', id: seen.id, state: seen.state })
  }
  return findAccount(tx, seen.id)
}
