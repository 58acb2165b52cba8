/** Who changed what in the directory, as its audit log keeps it: for a time only, so what was thrown away between two readings is said. */
import { secondsAfter } from '../../kernel/clock.ts'
import { Instant } from '../../kernel/instant.ts'
import {
  inPages,
  unknown,
  Unreadable,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { everyOf, whenOf, type Graph } from './api.ts'
import { Audit, principalOf, userOf } from './shapes.ts'

const NEED = { what: 'who changed what in the directory', permission: 'AuditLog.Read.All' }
const PATH = '/v1.0/auditLogs/directoryAudits'
export const AUDITS = { path: `${PATH}?$top=1`, need: NEED, shape: Audit }

const DAY_SECONDS = 86_400
/** "Microsoft Entra data retention": a month, or a week without a licence. */
const KEPT_DAYS = 30
/** The same page: what happened is there within the hour. */
const LAG_SECONDS = 3_600
/** What is asked for at once, and counted by days. */
const SLICE_DAYS = 5
/** Changes that are told apart within that; a directory has hundreds of kinds of them. */
const TOLD_MAX = 200_000

const LOST: Missing = {
  what: 'changes between two readings',
  why: 'the directory threw its log away before it was read',
  permission: 'readings that are less than a week apart',
}

type Sum = { readonly subject: NativeId; readonly privilege: string; at: Date; count: number }

/** Some days at a time, each change counted once: where it was cut, those days are read again as a whole. */
export async function* readAudits(graph: Graph, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const now = graph.clock.now()
  const to = secondsAfter(now, -LAG_SECONDS)
  const oldest = secondsAfter(now, -KEPT_DAYS * DAY_SECONDS)
  const before = since.cursor === undefined ? undefined : Instant.safeDecode(since.cursor).data
  const isLost = before !== undefined && before < oldest
  let from = before === undefined || isLost ? oldest : before
  while (from < to) {
    const next = secondsAfter(from, SLICE_DAYS * DAY_SECONDS)
    const end = next < to ? next : to
    yield* inPages(await changesOf(graph, { from, end }, signal), end.toISOString())
    from = end
  }
  return { status: isLost ? 'partial' : 'complete', missing: isLost ? [LOST] : [] }
}

async function changesOf(
  graph: Graph,
  { from, end }: { readonly from: Date; readonly end: Date },
  signal: AbortSignal,
): Promise<Observation[]> {
  // Its filter knows `le` and no `lt`: what stands at the end is of the next ones.
  const filter = `activityDateTime ge ${from.toISOString()} and activityDateTime le ${end.toISOString()}`
  const asked = { ...AUDITS, path: `${PATH}?$filter=${encodeURIComponent(filter)}&$top=999` }
  const sums = new Map<string, Sum>()
  for await (const { activityDateTime, activityDisplayName, initiatedBy } of everyOf(graph, asked, signal)) {
    const at = whenOf(activityDateTime)
    const { servicePrincipalId } = initiatedBy?.app ?? {}
    const { id } = initiatedBy?.user ?? {}
    const subject = servicePrincipalId ? principalOf(servicePrincipalId) : id ? userOf(id) : undefined
    if (!subject || !at.known || at.value < from || at.value >= end) continue
    const day = at.value.toISOString().slice(0, 10)
    const key = `${day} ${subject.kind}/${subject.id}\n${activityDisplayName}`
    const sum = sums.get(key) ?? { subject, privilege: activityDisplayName, at: at.value, count: 0 }
    sum.count += 1
    if (at.value > sum.at) sum.at = at.value
    sums.set(key, sum)
    if (sums.size > TOLD_MAX) throw new Unreadable('there are more changes than any directory has')
  }
  return [...sums.values()].map((sum) => ({
    kind: 'usage',
    semantics: 'api-call',
    actor: unknown('unsupported'),
    ...sum,
  }))
}
