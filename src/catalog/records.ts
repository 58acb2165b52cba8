import type { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { keyAfter, pageAfter, type Page } from '../kernel/page.ts'
import { conflict, notFound } from '../kernel/problem.ts'
import type { Random } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import type { Teams } from '../identities/identities.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { SeenAttributes, Target } from './schemas.ts'
import type { Account, AccountDetail, AccountQuery, TargetQuery } from './schemas.ts'

/** Called in the transaction that ends a purpose, a target or an account: whoever stands higher ends the grants on it. */
export type OnPurposeEnded = (tx: Tx, ended: { readonly purposeId: string; readonly cause: number }) => Promise<void>
export type OnTargetRetired = (tx: Tx, ended: { readonly targetId: string; readonly cause: number }) => Promise<void>
export type OnAccountRetired = (tx: Tx, ended: { readonly accountId: string; readonly cause: number }) => Promise<void>

/** Reads which accounts stand at a target. Goes over the network, so never inside a transaction; throws when it cannot see all. */
export type Survey = (target: Target, signal: AbortSignal) => Promise<readonly SeenAccount[]>
export type SeenAccount = { readonly name: string; readonly attributes: SeenAttributes }

/** What commands of this folder use. */
export type CatalogNeeds = {
  readonly clock: Clock
  readonly random: Random
  readonly seal: Seal
  readonly ledger: Ledger
  readonly teams: Teams
  /** The protocols that have a gateway, with what `target.settings` holds for each. */
  readonly protocols: ReadonlyMap<string, { readonly settings: z.ZodType }>
  readonly survey: Survey
  readonly onPurposeEnded: OnPurposeEnded
  readonly onTargetRetired: OnTargetRetired
  readonly onAccountRetired: OnAccountRetired
}

export const TARGET_COLUMNS = [
  'id',
  'name',
  'protocol',
  'environment',
  'sensitivity',
  'businessService',
  'ownerTeam',
  'settings',
  'onControlLoss',
  'onRecorderLoss',
  'mode',
  'state',
  'createdAt',
  'version',
] as const

const ACCOUNT_COLUMNS = [
  'id',
  'targetId',
  'name',
  'identityId',
  'mode',
  'databases',
  'tier',
  'attributes',
  'state',
  'seenAt',
  'version',
] as const

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function isId(text: string): boolean {
  return UUID.test(text)
}

type Row<Of, Json extends keyof Of> = Omit<Of, Json> & { [Name in Json]: unknown }

/** `jsonb` comes back unknown; these two give it its type. */
export function targetFrom(row: Row<Target, 'settings'>): Target {
  return { ...row, settings: Target.shape.settings.parse(row.settings) }
}

function accountFrom(row: Row<Account, 'attributes'>): Account {
  return { ...row, attributes: SeenAttributes.parse(row.attributes) }
}

export async function loadTarget(db: Db, id: string): Promise<Target | undefined> {
  const row = await db.selectFrom('target').select(TARGET_COLUMNS).where('id', '=', id).executeTakeFirst()
  return row && targetFrom(row)
}

export async function loadTargetByName(db: Db, name: string): Promise<Target | undefined> {
  const row = await db.selectFrom('target').select(TARGET_COLUMNS).where('name', '=', name).executeTakeFirst()
  return row && targetFrom(row)
}

/** By id or by name; an id wins. */
export async function findTarget(db: Db, nameOrId: string): Promise<Target> {
  const found = (isId(nameOrId) ? await loadTarget(db, nameOrId) : undefined) ?? (await loadTargetByName(db, nameOrId))
  if (!found) throw unknownTarget(nameOrId)
  return found
}

/** The row, locked until the transaction ends. A target that is retired does not change any more. */
export async function lockTarget(tx: Tx, id: string): Promise<Target> {
  const row = await tx.selectFrom('target').select(TARGET_COLUMNS).where('id', '=', id).forUpdate().executeTakeFirst()
  if (!row) throw unknownTarget(id)
  if (row.state !== 'active') {
    throw conflict('The target is retired.', { type: 'Target', id, state: row.state })
  }
  return targetFrom(row)
}

export function unknownTarget(id: string) {
  return notFound('There is no such target.', { type: 'Target', id })
}

export async function listTargets(db: Db, query: TargetQuery): Promise<Page<Target>> {
  let rows = db.selectFrom('target').select(TARGET_COLUMNS).where('name', '>', keyAfter(query.cursor))
  if (query.environment) rows = rows.where('environment', '=', query.environment)
  if (query.protocol) rows = rows.where('protocol', '=', query.protocol)
  if (query.ownerTeam) rows = rows.where('ownerTeam', '=', query.ownerTeam)
  if (query.state) rows = rows.where('state', '=', query.state)
  const found = await rows
    .orderBy('name')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found.map(targetFrom), query.limit, (target) => target.name)
}

/** An account of a target by its name there, whatever its mode and state. */
export async function loadAccount(db: Db, targetId: string, name: string): Promise<Account | undefined> {
  const row = await db
    .selectFrom('account')
    .select(ACCOUNT_COLUMNS)
    .where('targetId', '=', targetId)
    .where('name', '=', name)
    .executeTakeFirst()
  return row && accountFrom(row)
}

export async function loadAccountById(db: Db, id: string): Promise<Account | undefined> {
  const row = await db.selectFrom('account').select(ACCOUNT_COLUMNS).where('id', '=', id).executeTakeFirst()
  return row && accountFrom(row)
}

/** Of an account, the group role at the target that bounds each action (core 19). */
export async function rolesOf(db: Db, accountId: string): Promise<ReadonlyMap<string, string>> {
  const rows = await db
    .selectFrom('accountRole')
    .select(['action', 'role'])
    .where('accountId', '=', accountId)
    .orderBy('action')
    .execute()
  return new Map(rows.map(({ action, role }) => [action, role]))
}

/** An account with its roles; throws `notFound`. */
export async function findAccount(db: Db, id: string): Promise<AccountDetail> {
  const account = await loadAccountById(db, id)
  if (!account) throw notFound('There is no such account.', { type: 'Account', id })
  return { ...account, roles: Object.fromEntries(await rolesOf(db, id)) }
}

export async function listAccounts(db: Db, targetId: string, query: AccountQuery): Promise<Page<Account>> {
  let rows = db
    .selectFrom('account')
    .select(ACCOUNT_COLUMNS)
    .where('targetId', '=', targetId)
    .where('name', '>', keyAfter(query.cursor))
  if (query.mode) rows = rows.where('mode', '=', query.mode)
  if (query.claimed) rows = rows.where('identityId', query.claimed === 'yes' ? 'is not' : 'is', null)
  const found = await rows
    .orderBy('name')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found.map(accountFrom), query.limit, (account) => account.name)
}
