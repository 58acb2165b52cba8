import { hasRead } from './sight.ts'
import type { Tx } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { translating } from '../../kernel/violation.ts'
import { actOf } from '../../identities/identities.ts'
import { MOST_BYTES, type Deposit, type PutDeposit } from './contract.ts'
import { depositPut, depositRetired } from './events.ts'
import { reachCustody } from './fault-points.ts'
import type { CustodyNeeds } from './needs.ts'
import { COLUMNS } from './records.ts'

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Takes a value into custody: of a new deposit, or as the next version of one that the same team owns. */
export async function putDeposit(
  tx: Tx,
  needs: CustodyNeeds,
  permit: Permit<'deposit.put'>,
  { name, ownerTeam, purpose, ...given }: PutDeposit & { readonly name: string },
): Promise<Deposit> {
  const value = bytesOf(given)
  const seen = await tx.selectFrom('deposit').select(COLUMNS).where('name', '=', name).forUpdate().executeTakeFirst()
  // What was permitted is of the deposit that was there, or of none: somebody else may have made it meanwhile.
  if ((seen?.id ?? name) !== permit.resource.id) throw taken(name)
  if (seen?.state === 'retired') throw over(seen)
  if (seen && seen.ownerTeam !== ownerTeam) throw invalid('ownerTeam', 'a deposit stays with its team')
  if (!needs.hasTeam(ownerTeam)) throw invalid('ownerTeam', 'there is no such team')
  const now = needs.clock.now()
  const id = seen?.id ?? newId(needs.clock, needs.random)
  const version = (seen?.version ?? 0) + 1
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: depositPut,
    resource: { type: 'Deposit', id },
    facts: { name, version },
  })
  const set = { purpose, version, changedAt: now, cause }
  const row = await translating({ name_is_unique: (cause_) => taken(name, cause_) }, () =>
    seen
      ? tx.updateTable('deposit').set(set).where('id', '=', id).returning(COLUMNS).executeTakeFirstOrThrow()
      : tx
          .insertInto('deposit')
          .values({ id, name, ownerTeam, state: 'kept', createdAt: now, ...set })
          .returning(COLUMNS)
          .executeTakeFirstOrThrow(),
  )
  const versionId = newId(needs.clock, needs.random)
  const sealedValue = needs.seal.seal(value, placeOf(versionId, id, version))
  const made = { id: versionId, depositId: id, number: version, sealedValue, sizeBytes: value.reveal().length }
  await tx
    .insertInto('depositVersion')
    .values({ ...made, createdAt: now, cause })
    .execute()
  await hasRead(tx, needs, permit, { depositId: id, number: version, how: 'put', cause })
  await reachCustody('custody.put')
  return row
}

/** Destroys every value with its key: what a backup holds of it opens until the root key is another and the old one is gone. */
export async function retireDeposit(
  tx: Tx,
  needs: CustodyNeeds,
  permit: Permit<'deposit.retire'>,
  reason: string,
): Promise<Deposit> {
  const { id } = permit.resource
  const seen = await lockKept(tx, id, 'update')
  const now = needs.clock.now()
  const facts = { name: seen.name, versions: seen.version, reason }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: depositRetired, facts })
  await tx
    .updateTable('depositVersion')
    .set({ sealedValue: null, destroyedAt: now, cause })
    .where('depositId', '=', id)
    .where('destroyedAt', 'is', null)
    .execute()
  return tx
    .updateTable('deposit')
    .set({ state: 'retired', retiredAt: now, changedAt: now, cause })
    .where('id', '=', id)
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
}

/** The deposit, locked against its end or against everything. Throws `notFound`, or `conflict` when it was retired. */
export async function lockKept(tx: Tx, id: string, how: 'share' | 'update'): Promise<Deposit> {
  const rows = tx.selectFrom('deposit').select(COLUMNS).where('id', '=', id)
  const row = await (how === 'share' ? rows.forShare() : rows.forUpdate()).executeTakeFirst()
  if (!row) throw notFound('There is no such deposit.', { type: 'Deposit', id })
  if (row.state === 'retired') throw over(row)
  return row
}

/** Where a value stands: it opens in no other row, of no other deposit, and as no other version. */
export function placeOf(versionId: string, depositId: string, number: number): string {
  return `deposit_version.sealed_value:${versionId}:${depositId}:${number}`
}

function bytesOf({ value, encoding }: Pick<PutDeposit, 'value' | 'encoding'>): Secret<Buffer> {
  if (encoding === 'base64' && !BASE64.test(value)) throw invalid('value', 'this is not base64')
  const bytes = Buffer.from(value, encoding === 'base64' ? 'base64' : 'utf8')
  if (bytes.length > MOST_BYTES) throw invalid('value', `it is longer than ${MOST_BYTES} bytes`)
  return new Secret(bytes)
}

function over({ id }: Pick<Deposit, 'id'>) {
  return conflict('The deposit was retired and its values are destroyed.', { type: 'Deposit', id, state: 'retired' })
}

function taken(name: string, cause?: unknown) {
  const detail = 'The deposit was made by somebody else meanwhile, or is not there any more: ask again.'
  return conflict(detail, { type: 'Deposit', id: name, state: 'kept' }, { cause })
}
