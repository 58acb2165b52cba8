import { sql } from 'kysely'
import type { Identity } from '../identities/contract.ts'
import { holdingIdentities } from '../identities/identities.ts'
import type { Tx } from '../kernel/db.ts'
import { OAuthError } from './oauth-error.ts'

/** The record of an identity while it is held, and whether it ever had a way to prove itself. */
export type HeldIdentity = Identity & { readonly enrolled: boolean }

/** What a token stands on. */
type Grounds = {
  readonly identity: { readonly id: string }
  readonly onBehalfOfId: string | null
  readonly actorIds: readonly string[]
  readonly ruleIds: readonly string[]
  readonly parentId: string | null
  readonly session: { readonly id: string } | null
}

/** What a token stands on, held until it is issued. */
export type Held = {
  identity(id: string): HeldIdentity | undefined
  isBootstrap(): boolean
}

/**
 * Whoever suspends one of them, retires the rule, revokes the token or ends the login waits, and then finds what was issued. In one statement and
 * always in this order: each part counts the one before it first, and each row is judged as it stands once it is locked, not as it stood when
 * the statement began. Throws `OAuthError` where one of them ended.
 */
export async function holdStill(tx: Tx, issuing: Grounds): Promise<Held> {
  const { identity, onBehalfOfId, actorIds, parentId, session } = issuing
  const ruleIds = [...new Set(issuing.ruleIds)]
  const rows = await holdingIdentities(tx, [identity.id, ...(onBehalfOfId === null ? [] : [onBehalfOfId]), ...actorIds])
    .with(
      (cte) => cte('rule').materialized(),
      (query) =>
        query
          .selectFrom('trustRule')
          .select('id')
          .where('id', '=', sql<string>`any(${ruleIds}::uuid[])`)
          .where('state', '=', 'active')
          .where(sql<boolean>`(select count(*) from held) > 0`)
          .orderBy('id')
          .forShare(),
    )
    .with(
      (cte) => cte('parent').materialized(),
      (query) =>
        query
          .selectFrom('apiToken')
          .select('id')
          .where('id', '=', sql<string>`${parentId}::uuid`)
          .where('revokedAt', 'is', null)
          .where(sql<boolean>`(select count(*) from rule) >= 0`)
          .forShare(),
    )
    .with(
      (cte) => cte('login').materialized(),
      (query) =>
        query
          .selectFrom('loginSession')
          .select('id')
          .where('id', '=', sql<string>`${session?.id ?? null}::uuid`)
          .where('endedAt', 'is', null)
          .where(sql<boolean>`(select count(*) from parent) >= 0`)
          .forShare(),
    )
    .selectFrom('held')
    .selectAll('held')
    .select((from) => [
      from.selectFrom('rule').select(from.fn.countAll<number>().as('count')).as('rules'),
      from.selectFrom('parent').select(from.fn.countAll<number>().as('count')).as('parents'),
      from.selectFrom('login').select(from.fn.countAll<number>().as('count')).as('logins'),
    ])
    .execute()
  const [first] = rows
  if (!first) throw new OAuthError('invalid_grant', 'The identity may not act now.')
  if ((first.rules ?? 0) < ruleIds.length) throw new OAuthError('invalid_grant', 'The rule that this stands on ended.')
  if (parentId !== null && first.parents !== 1) throw new OAuthError('invalid_grant', 'The token that was shown ended.')
  if (session && first.logins !== 1) throw new OAuthError('invalid_grant', 'The login ended.')
  const held = new Map(rows.map((row) => [row.id, row]))
  return { identity: (id) => held.get(id), isBootstrap: () => first.bootstrap }
}
