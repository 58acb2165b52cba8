/** What ran, and which connections its tasks were given. */
import { z } from 'zod'
import {
  known,
  parsed,
  segment,
  unknown,
  type Missing,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { askFor, connectionOf, dagOf, everyOf, instantOf, userOf, type Airflow } from './api.ts'
import { DAGS, isConnectionName, isId } from './dags.ts'
import { readFeed, readUntil, type Feed } from './feed.ts'
import { Rendered, Run, TaskRun, Tasks } from './shapes.ts'

const range = (field: string) => (from: Date, to: Date) => ({
  [`${field}_gte`]: from.toISOString(),
  [`${field}_lte`]: to.toISOString(),
})

export const RUNS: Feed<Run> = {
  path: '/api/v2/dags/~/dagRuns',
  field: 'dag_runs',
  order: 'start_date',
  range: range('start_date'),
  need: 'reading runs: role Viewer (simple), `can_read` on DAGs and DAG Runs (FAB)',
  shape: Run,
  whenOf: ({ start_date: at }) => at,
}
export const TASK_RUNS: Feed<TaskRun> = {
  path: '/api/v2/dags/~/dagRuns/~/taskInstances',
  field: 'task_instances',
  order: 'end_date',
  range: range('end_date'),
  need: 'reading task runs: role Viewer (simple), `can_read` on DAGs, DAG Runs and Task Instances (FAB)',
  shape: TaskRun,
  whenOf: ({ end_date: at }) => at,
}

const LOST: Missing = {
  what: 'runs between two readings',
  why: 'all that was read the last time is gone from the list, and what came behind it may be as well',
  permission: 'runs that are kept for longer than it is between two readings',
}

/** Each run is a use of its DAG. What was deleted before it was read is a gap, where it can be noticed. */
export async function* readRuns(
  airflow: Airflow,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const gap = await lostOf(airflow, since, signal)
  // Of DAGs alone: users and connections are used in other ways too.
  async function* window(from: Date, to: Date): AsyncGenerator<Observation, void> {
    const gaps: [Date, Date][] = gap ? [[gap[0], gap[1] < to ? gap[1] : to]] : []
    const sees = airflow.settings.runsSeeAll ? 'every-use' : 'samples'
    for await (const { dag_id: id } of everyOf(airflow, DAGS, signal))
      yield { kind: 'usage-window', subject: dagOf(id), semantics: 'session', sees, from, to, gaps }
  }
  yield* readFeed(airflow, RUNS, since, { entries: (entries) => entries.flatMap(tellRun), window }, signal)
  return gap ? { status: 'partial', missing: [LOST] } : { status: 'complete', missing: [] }
}

/** Old runs are deleted first: while one is there that was there the last time, none that came behind it was. */
async function lostOf(airflow: Airflow, since: Since, signal: AbortSignal): Promise<readonly [Date, Date] | undefined> {
  const before = readUntil(since)
  if (!before?.hasTaken) return undefined
  const { until } = before
  const query = new URLSearchParams({
    limit: '1',
    order_by: 'start_date',
    start_date_lte: airflow.clock.now().toISOString(),
  })
  const told = await airflow.ask(`${RUNS.path}?${query.toString()}`, RUNS.need, signal)
  const [oldest] = told === undefined ? [] : parsed(z.object({ dag_runs: z.array(Run) }), told).dag_runs
  const at = oldest ? instantOf(oldest.start_date) : airflow.clock.now()
  return at && at > until ? [until, at] : undefined
}

function tellRun(run: Run): Observation[] {
  const at = instantOf(run.start_date)
  if (!at) return []
  const { triggering_user_name: user, run_type: type } = run
  return [
    {
      kind: 'usage',
      subject: dagOf(run.dag_id),
      semantics: 'session',
      at,
      count: 1,
      privilege: `run: ${type ?? 'of an unknown kind'}`,
      actor: typeof user === 'string' && user !== '' ? known(userOf(user)) : unknown('unsupported'),
    },
  ]
}

/** Tasks that a reading remembers; beyond them they are asked for again. */
const TASKS_MAX = 100_000
/** In these a task ran, and its connections were looked up. */
const RAN = new Set(['success', 'failed', 'up_for_retry'])

/**
 * Tasks that ended, with the connections that their fields were filled with: of operators that have theirs among their template fields, which those
 * of SQL and of the clouds do. Each task is looked at once a day, and nothing else of its fields leaves.
 */
export async function* readTaskRuns(
  airflow: Airflow,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const tasks = new Map<string, ReadonlySet<string>>()
  const asked = new Set<string>()
  const entries = async (runs: readonly TaskRun[]): Promise<Observation[]> => {
    const told: Observation[] = []
    // The last of a page first: it says how it is now.
    for (const run of runs.toReversed()) {
      if (!RAN.has(run.state ?? '')) continue
      const key = JSON.stringify([run.dag_id, run.task_id, run.end_date?.slice(0, 10)])
      if (asked.has(key)) continue
      if (asked.size < TASKS_MAX) asked.add(key)
      if ((await withConnections(airflow, run.dag_id, tasks, signal)).has(run.task_id))
        told.push(...(await tellTaskRun(airflow, run, signal)))
    }
    // A thing stands in a page once: of a task that is told for several days, the last.
    return [...new Map(told.toReversed().map((one) => [keyOf(one), one])).values()]
  }
  yield* readFeed(airflow, TASK_RUNS, since, { entries }, signal)
  return { status: 'complete', missing: [] }
}

function keyOf(told: Observation): string {
  return 'id' in told ? `${told.kind} ${told.id.id}` : JSON.stringify(told)
}

/** Tasks of a DAG whose connections come filled in. */
async function withConnections(
  airflow: Airflow,
  dag: string,
  tasks: Map<string, ReadonlySet<string>>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const before = tasks.get(dag)
  if (before) return before
  const id = segment(dag)
  const path = `/api/v2/dags/${id}/tasks`
  const found =
    id === undefined ? undefined : await askFor(airflow, { path, need: TASK_RUNS.need, shape: Tasks }, signal)
  const names = new Set(
    (found?.tasks ?? []).flatMap(({ task_id: task, template_fields: fields }) =>
      typeof task === 'string' && (fields ?? []).some(isConnectionName) ? [task] : [],
    ),
  )
  if (tasks.size < TASKS_MAX) tasks.set(dag, names)
  return names
}

async function tellTaskRun(airflow: Airflow, run: TaskRun, signal: AbortSignal): Promise<Observation[]> {
  const at = instantOf(run.start_date) ?? instantOf(run.end_date)
  const path = pathOf(run)
  if (!at || path === undefined) return []
  const found = await askFor(airflow, { path, need: TASK_RUNS.need, shape: Rendered }, signal)
  const names = new Set(
    Object.entries(found?.rendered_fields ?? {}).flatMap(([field, value]) =>
      isConnectionName(field) && typeof value === 'string' && isId(value) ? [value] : [],
    ),
  )
  return [...names].flatMap((name): Observation[] => [
    { kind: 'usage', subject: connectionOf(name), semantics: 'auth', at, actor: known(dagOf(run.dag_id)) },
    {
      kind: 'reference',
      id: { kind: 'task-connection', id: JSON.stringify([run.dag_id, run.task_id, name]) },
      consumer: dagOf(run.dag_id),
      credential: connectionOf(name),
      how: 'connection',
      location: `task ${run.task_id}`,
      evidence: 'runtime',
      facts: { uses: `connection ${name}` },
    },
  ])
}

function pathOf({ dag_id: dag, dag_run_id: run, task_id: task, map_index: index }: TaskRun): string | undefined {
  const parts = [dag, run, task].map(segment)
  if (parts.includes(undefined)) return undefined
  const [ofDag, ofRun, ofTask] = parts
  return `/api/v2/dags/${ofDag}/dagRuns/${ofRun}/taskInstances/${ofTask}${index >= 0 ? `/${index}` : ''}`
}
