import { sql } from 'kysely'
import type { Db } from '../../kernel/db.ts'
import type { Step, Thing } from './contract.ts'
import { EDGES, type EdgeKind, type EvidenceKind } from './edge-kinds.ts'
import type { Step as Walked } from './forward.ts'

const NAME_MAX = 200

/** What the ids of the graph stand for; of what no source told, only that. */
export async function thingsOf(db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, Thing>> {
  if (ids.length === 0) return new Map()
  const observed = (node: string, table: string) => sql`
    select o.id, ${sql.lit(node)} as node, o.name, o.type, s.name as source
      from ${sql.table(table)} o join source_scope c on c.id = o.scope_id join source s on s.id = c.source_id where o.id = any (${ids})`
  const { rows } = await sql<Thing>`
    select i.id, 'identity' as node, i.name, i.kind as type, null as source from identity i where i.id = any (${ids})
    union all ${observed('principal', 'observed_principal')}
    union all ${observed('credential', 'observed_credential')}
    union all ${observed('resource', 'observed_resource')}`.execute(db)
  return new Map(rows.map((row) => [row.id, row]))
}

export function thingAt(things: ReadonlyMap<string, Thing>, id: string, name = 'not told by any source'): Thing {
  return things.get(id) ?? { id, node: 'other', name, type: null, source: null }
}

/** Where several meet has no row and no name of its own. */
export const HUBS: Partial<Record<EdgeKind, string>> = {
  'same-secret': 'one secret, wherever it is kept',
  keeps: 'one secret, wherever it is kept',
  'can-read-secret': 'every secret of the place',
  'can-create-pods': 'whatever runs in the place',
  'member-of': 'a role, where it is bound',
  'gets-token': 'a token that is believed elsewhere',
}

/** Steps in words, each with what it stands on. */
export async function stepsOf(db: Db, walked: readonly Walked[]): Promise<Step[]> {
  const things = await thingsOf(db, [...new Set(walked.flatMap(({ fromId, toId }) => [fromId, toId]))])
  const evidence = await evidenceOf(db, walked)
  const hubs = new Map(walked.map(({ toId, kind }) => [toId, HUBS[kind]]))
  return walked.map(({ fromId, toId, kind, evidenceId }) => ({
    from: thingAt(things, fromId, hubs.get(fromId) ?? (kind === 'trusts-issuer' ? 'an issuer outside' : undefined)),
    edge: kind,
    words: EDGES[kind].words,
    to: thingAt(things, toId, hubs.get(toId)),
    evidence: evidence.get(evidenceId) ?? {
      kind: EDGES[kind].evidence,
      id: evidenceId,
      source: null,
      what: 'it is not there any more',
      seenAt: null,
    },
  }))
}

type Evidence = Step['evidence']

const OBSERVED: Partial<Record<EvidenceKind, { readonly table: string; readonly what: string }>> = {
  grant: { table: 'observed_grant', what: `o.privilege || ' (' || o.level || ')'` },
  trust: { table: 'observed_trust', what: `coalesce(o.issuer, o.native_kind)` },
  credential: { table: 'observed_credential', what: `o.type || ' ' || o.name` },
  reference: { table: 'observed_reference', what: `o.how || ' ' || o.location` },
  resource: { table: 'observed_resource', what: `o.type || ' ' || o.name` },
  principal: { table: 'observed_principal', what: `o.type || ' ' || o.name` },
}
const RECORD: Partial<Record<EvidenceKind, { readonly table: string; readonly what: string }>> = {
  account: { table: 'account', what: `'account ' || o.name` },
  link: { table: 'record_link', what: `'link by ' || o.how` },
  merge: { table: 'identity_merge', what: `'merged by a person'` },
  identity: { table: 'identity', what: `'owner of ' || o.name` },
}

async function evidenceOf(db: Db, walked: readonly Walked[]): Promise<ReadonlyMap<string, Evidence>> {
  const found = new Map<string, Evidence>()
  for (const [kind, of] of Map.groupBy(walked, (step) => EDGES[step.kind].evidence)) {
    const ids = [...new Set(of.map(({ evidenceId }) => evidenceId))]
    const seen = OBSERVED[kind]
    const kept = RECORD[kind]
    const query = seen
      ? sql<Evidence>`select ${kind} as kind, o.id, s.name as source, left(${sql.raw(seen.what)}, ${NAME_MAX}) as what,
                coalesce(o.last_seen_at, greatest(o.changed_at, c.seen_at)) as "seenAt"
           from ${sql.table(seen.table)} o join source_scope c on c.id = o.scope_id join source s on s.id = c.source_id where o.id = any (${ids})`
      : kept &&
        sql<Evidence>`select ${kind} as kind, o.id, null as source, left(${sql.raw(kept.what)}, ${NAME_MAX}) as what, null::timestamptz as "seenAt"
           from ${sql.table(kept.table)} o where o.id = any (${ids})`
    for (const row of query ? (await query.execute(db)).rows : []) found.set(row.id, row)
  }
  return found
}
