import { sql } from 'kysely'
import { holdingIdentities, type Recorded } from '../identities/identities.ts'
import type { Tx } from '../kernel/db.ts'
import { OAuthError } from './oauth-error.ts'

/** What a token stands on. */
type Grounds = {
  readonly identity: { readonly id: string }
  readonly onBehalfOfId: string | null
  readonly actorIds: readonly string[]
  readonly ruleIds: readonly string[]
  readonly parentId: string | null
  readonly session: { readonly id: string } | null
}

/** What tokens stand on, held until they are issued. */
export type Held = {
  identity(id: string): Recorded | undefined
  isBootstrap(): boolean
  /** What one of them may not be issued for: something that it stands on ended, or is not held. */
  lacking(grounds: Grounds): OAuthError | undefined
}

/**
 * Whoever suspends one of them, retires the rule, revokes the token or ends the login waits, and then finds what was issued. In one statement and
 * always in this order: each part counts the one before it first, and each row is judged as it stands once it is locked, not as it stood when
 * the statement began. Skipping: what somebody else has locked is left out, and nobody is waited for.
 */
export async function holdStill(tx: Tx, all: readonly Grounds[], how: 'waiting' | 'skipping'): Promise<Held> {
  const [ruleIds, parentIds, sessionIds] = [
    distinct(all.flatMap((each) => each.ruleIds)),
    distinct(all.map(({ parentId }) => parentId)),
    distinct(all.map(({ session }) => session?.id ?? null)),
  ]
  const skips = how === 'skipping'
  const rows = await holdingIdentities(tx, all.flatMap(identitiesOf), how)
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
          .forShare()
          .$if(skips, (locked) => locked.skipLocked()),
    )
    .with(
      (cte) => cte('parent').materialized(),
      (query) =>
        query
          .selectFrom('apiToken')
          .select('id')
          .where('id', '=', sql<string>`any(${parentIds}::uuid[])`)
          .where('revokedAt', 'is', null)
          .where(sql<boolean>`(select count(*) from rule) >= 0`)
          .orderBy('id')
          .forShare()
          .$if(skips, (locked) => locked.skipLocked()),
    )
    .with(
      (cte) => cte('login').materialized(),
      (query) =>
        query
          .selectFrom('loginSession')
          .select('id')
          .where('id', '=', sql<string>`any(${sessionIds}::uuid[])`)
          .where('endedAt', 'is', null)
          .where(sql<boolean>`(select count(*) from parent) >= 0`)
          .orderBy('id')
          .forShare()
          .$if(skips, (locked) => locked.skipLocked()),
    )
    .selectFrom('held')
    .selectAll('held')
    .select([
      sql<string[]>`array(select id::text from rule)`.as('rules'),
      sql<string[]>`array(select id::text from parent)`.as('parents'),
      sql<string[]>`array(select id::text from login)`.as('logins'),
    ])
    .execute()
  return heldIn(rows)
}

type Row = Recorded & {
  readonly bootstrap: boolean
  readonly rules: readonly string[]
  readonly parents: readonly string[]
  readonly logins: readonly string[]
}

function heldIn(rows: readonly Row[]): Held {
  const [first] = rows
  const held = new Map(rows.map((row) => [row.id, row]))
  const [rules, parents, logins] = [new Set(first?.rules), new Set(first?.parents), new Set(first?.logins)]
  return {
    identity: (id) => held.get(id),
    isBootstrap: () => first?.bootstrap === true,
    lacking(grounds) {
      const { ruleIds, parentId, session } = grounds
      const refused = (sentence: string) => new OAuthError('invalid_grant', sentence)
      if (identitiesOf(grounds).some((id) => !held.has(id))) return refused('The identity may not act now.')
      if (ruleIds.some((id) => !rules.has(id))) return refused('The rule that this stands on ended.')
      if (parentId !== null && !parents.has(parentId)) return refused('The token that was shown ended.')
      if (session && !logins.has(session.id)) return refused('The login ended.')
      return undefined
    },
  }
}

function identitiesOf({ identity, onBehalfOfId, actorIds }: Grounds): string[] {
  return [identity.id, ...(onBehalfOfId === null ? [] : [onBehalfOfId]), ...actorIds]
}

function distinct(ids: readonly (string | null)[]): string[] {
  return [...new Set(ids)].filter((id) => id !== null)
}
