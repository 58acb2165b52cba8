import { z } from 'zod'
import type { Db } from '../kernel/db.ts'
import { Instant } from '../kernel/instant.ts'
import type { LeaseTerms } from './writer.ts'

/** Of a grant, what a lease needs to know. */
export type LeaseGrant = {
  readonly id: string
  readonly targetId: string
  readonly accountId: string
  readonly actions: readonly string[]
  readonly expiresAt: Date
  readonly maxConnections: number
}

/** Terms as the row keeps them. */
export const StoredTerms = z.object({
  account: z.string(),
  roles: z.array(z.string()),
  databases: z.array(z.string()),
  validUntil: Instant,
  connections: z.int(),
  actions: z.array(z.string()).default([]),
})

export type LeasedAccount = {
  readonly protocol: string
  readonly mode: 'lease' | 'static'
  readonly terms: LeaseTerms
  /** Of the target. */
  readonly settings: unknown
}

const STRENGTH = { admin: 0, change: 1, read: 2 } as const

/**
 * What the grant's actions need at the target: their group roles, the one of the strongest class first. An action without a role of its
 * own is bounded by the account itself (core 19: the grant says `parser-enforced`). Undefined when nobody can act as this account.
 */
export async function termsOf(db: Db, grant: LeaseGrant): Promise<LeasedAccount | undefined> {
  const account = await db
    .selectFrom('account')
    .innerJoin('target', 'target.id', 'account.targetId')
    .select([
      'account.name',
      'account.mode',
      'account.databases',
      'account.state',
      'target.protocol',
      'target.settings',
    ])
    .where('account.id', '=', grant.accountId)
    .where('account.targetId', '=', grant.targetId)
    .where('target.state', '=', 'active')
    .executeTakeFirst()
  if (!account || account.state !== 'active' || account.mode === 'seen') return undefined
  const actions = await db
    .selectFrom('privilegedAction')
    .leftJoin('accountRole', (join) =>
      join.onRef('accountRole.action', '=', 'privilegedAction.name').on('accountRole.accountId', '=', grant.accountId),
    )
    .select(['privilegedAction.name', 'privilegedAction.class', 'accountRole.role'])
    .where('privilegedAction.name', 'in', grant.actions)
    .orderBy('privilegedAction.name')
    .execute()
  const roles = actions
    .toSorted((a, b) => STRENGTH[a.class] - STRENGTH[b.class])
    .map((action) => action.role ?? account.name)
  return {
    protocol: account.protocol,
    mode: account.mode,
    settings: account.settings,
    terms: {
      account: account.name,
      roles: [...new Set(roles)],
      databases: account.databases,
      validUntil: grant.expiresAt,
      connections: grant.maxConnections,
      actions: [...grant.actions],
    },
  }
}
