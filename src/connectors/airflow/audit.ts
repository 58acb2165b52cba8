/** Who did what by the API, as the audit log of Airflow has it: what is in it of connections and variables is not kept, but which it was. */
import { z } from 'zod'
import { secondsAfter } from '../../kernel/clock.ts'
import { unknown, type NativeId, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { connectionOf, dagOf, instantOf, userOf, variableOf, type Airflow } from './api.ts'
import { readFeed, type Feed } from './feed.ts'
import { LogEntry } from './shapes.ts'

export const AUDIT: Feed<LogEntry> = {
  path: '/api/v2/eventLogs',
  field: 'event_logs',
  order: 'when',
  // Both ends are left out by it.
  range: (from, to) => ({
    after: secondsAfter(from, -0.001).toISOString(),
    before: secondsAfter(to, 0.001).toISOString(),
  }),
  need: 'reading the audit log: role Viewer (simple), `can_read` on DAGs and Audit Logs (FAB)',
  shape: LogEntry,
  whenOf: ({ when }) => when,
}

export async function* readAudit(
  airflow: Airflow,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  yield* readFeed(airflow, AUDIT, since, { entries: (entries) => entries.flatMap(tellEntry) }, signal)
  return { status: 'complete', missing: [] }
}

const Extra = z.object({
  method: z.string(),
  connection_id: z.string().min(1).optional().catch(undefined),
  key: z.string().min(1).optional().catch(undefined),
  variable_key: z.string().min(1).optional().catch(undefined),
})

/**
 * What came by the API names its method; the rest is of tasks, whose `owner` is whom a DAG names, and of programs on the machine, whose is an
 * account of that machine.
 */
function tellEntry(entry: LogEntry): Observation[] {
  const at = instantOf(entry.when)
  const extra = extraOf(entry)
  const { owner, event } = entry
  if (!at || !extra || typeof owner !== 'string' || owner === '' || owner === 'anonymous') return []
  const on = objectOf(entry, extra)
  return [
    {
      kind: 'usage',
      subject: userOf(owner),
      semantics: 'api-call',
      at,
      count: 1,
      privilege: event,
      ...(on && { on }),
      actor: unknown('unsupported'),
    },
  ]
}

function extraOf({ extra }: LogEntry): z.output<typeof Extra> | undefined {
  try {
    return Extra.safeParse(JSON.parse(extra ?? '')).data
  } catch {
    return undefined
  }
}

function objectOf({ event, dag_id: dag }: LogEntry, extra: z.output<typeof Extra>): NativeId | undefined {
  const variable = extra.variable_key ?? extra.key
  if (event.includes('connection') && extra.connection_id !== undefined) return connectionOf(extra.connection_id)
  if (event.includes('variable') && variable !== undefined) return variableOf(variable)
  return typeof dag === 'string' && dag !== '' ? dagOf(dag) : undefined
}
