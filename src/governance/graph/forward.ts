import { sql } from 'kysely'
import type { Db } from '../../kernel/db.ts'
import { EDGE_KINDS, type EdgeKind } from './edge-kinds.ts'
import { LIVE } from './edge-sql.ts'
import { edgeRules } from './edges.ts'

/** Things that are looked at on the way from one; more is said to be cut off. */
const THINGS_MAX = 5_000
const HOPS_MAX = 32

export type Step = {
  readonly fromId: string
  readonly toId: string
  readonly kind: EdgeKind
  readonly evidenceId: string
}
export type Forward = {
  /** How each thing was first come to; the one that was asked about is not among them. */
  readonly steps: ReadonlyMap<string, Step & { readonly hops: number }>
  readonly isCut: boolean
}

/** All that one thing leads to, breadth first, by indexes: no more of the graph is read than is reached. */
export async function forwardFrom(db: Db, id: string, now: Date): Promise<Forward> {
  const all = edgeRules(now)
  const { rows: told } = await sql<{ type: string }>`
    select t.type from unnest(${all.flatMap(({ onlyWith }) => onlyWith ?? [])}::text[]) t (type)
     where exists (select from observed_resource r where r.type = t.type and r.gone_at is null)`.execute(db)
  const rules = all
    .filter(({ onlyWith }) => onlyWith === undefined || told.some(({ type }) => type === onlyWith))
    .map(({ whole, direct }) => direct ?? whole)
    .filter((text) => text !== '')
  const steps = new Map<string, Step & { hops: number }>()
  const seen = new Set([id])
  let front = [id]
  for (let hops = 1; front.length > 0 && hops <= HOPS_MAX; hops += 1) {
    const each = rules.map(
      (rule) => sql`select * from (${sql.raw(rule)}) e (src, dst, kind, evidence) where e.src = any (${front}::uuid[])`,
    )
    const { rows } = await sql<{ src: string; dst: string; kind: number; evidence: string }>`
      with ${sql.raw(LIVE)} select e.src, e.dst, e.kind, e.evidence from (${sql.join(each, sql` union all `)}) e
       where e.src <> e.dst order by e.src, e.kind, e.dst limit ${THINGS_MAX + 1}`.execute(db)
    front = []
    for (const { src, dst, kind, evidence } of rows) {
      if (seen.has(dst)) continue
      if (steps.size >= THINGS_MAX) return { steps, isCut: true }
      seen.add(dst)
      steps.set(dst, { fromId: src, toId: dst, kind: EDGE_KINDS[kind] ?? 'controls', evidenceId: evidence, hops })
      front.push(dst)
    }
    if (rows.length > THINGS_MAX) return { steps, isCut: true }
  }
  return { steps, isCut: front.length > 0 }
}
