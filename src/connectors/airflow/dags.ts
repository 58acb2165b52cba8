import { z } from 'zod'
import {
  Denied,
  Holes,
  inBatches,
  known,
  parsed,
  principal,
  segment,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { askFor, connectionOf, dagOf, everyOf, PAGE, variableOf, type Airflow, type Listed } from './api.ts'
import { namesIn, type Named } from './python.ts'
import { Dag, DagDetails, DagSource, ImportErrors } from './shapes.ts'

export const DAGS: Listed<Dag> = {
  // Stale ones too: their rows stand there until somebody deletes them.
  path: '/api/v2/dags?exclude_stale=false',
  field: 'dags',
  order: 'dag_id',
  need: 'reading DAGs: role Viewer (simple), `can_read` on DAGs (FAB)',
  shape: Dag,
  idOf: ({ dag_id: id }) => id,
}
export const CODE_NEED = 'reading the code of DAGs: role Viewer (simple), `can_read` on DAGs and DAG Code (FAB)'
const ERRORS_NEED = 'reading import errors: role Viewer (simple), `can_read` on ImportError (FAB)'
const FILES_NAMED = 20

/** DAGs as what acts: whose, when they run, whether they may. */
export async function* readDags(airflow: Airflow, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const told = async function* () {
    for await (const dag of everyOf(airflow, DAGS, signal)) yield [tellDag(dag)]
  }
  yield* inBatches(told())
  return { status: 'complete', missing: await unparsed(airflow, 'DAGs', signal) }
}

function tellDag(dag: Dag): Observation {
  const { dag_id: id, dag_display_name: title } = dag
  const owners = dag.owners ?? []
  const isStale = dag.is_stale === true
  return principal({
    id: dagOf(id),
    type: 'workload',
    name: id,
    aliases: typeof title === 'string' && title !== id ? [title] : [],
    // A paused one is not started by its schedule; one that is stale has no file any more.
    state: known(isStale ? 'deleted' : dag.is_paused === true ? 'disabled' : 'active'),
    interactive: known(false),
    tags: { ...tagsOf(dag), ...(owners.length > 0 && { owner: owners.join(', ') }) },
    facts: {
      schedule: dag.timetable_summary ?? null,
      file: dag.relative_fileloc ?? dag.fileloc ?? null,
      bundle: dag.bundle_name ?? null,
      description: dag.description ?? null,
      isPaused: dag.is_paused ?? null,
      hasImportErrors: dag.has_import_errors ?? null,
    },
  })
}

/** A tag is one word here; people write `team:payments` or `team=payments` where they mean two. */
function tagsOf({ tags }: Dag): Record<string, string> {
  return Object.fromEntries(
    (tags ?? []).map(({ name }) => {
      const parts = /^([^:=]{1,100})[:=](.+)$/s.exec(name)
      return parts ? [(parts[1] ?? '').trim(), (parts[2] ?? '').trim()] : [name, '']
    }),
  )
}

/** Files that Airflow could not read: what is in them is in no list. */
async function unparsed(airflow: Airflow, what: string, signal: AbortSignal): Promise<Missing[]> {
  try {
    const told = await airflow.ask(`/api/v2/importErrors?limit=${PAGE}`, ERRORS_NEED, signal)
    if (told === undefined) return []
    const { import_errors: errors, total_entries: total } = parsed(ImportErrors, told)
    const names = [...new Set(errors.map(({ filename }) => filename ?? 'a file without a name'))].sort()
    const missing = names.slice(0, FILES_NAMED).map((name) => ({
      what: `${what} of ${name}`.slice(0, 300),
      why: 'Airflow could not read the file',
    }))
    const more = Math.max(names.length, total ?? 0) - missing.length
    return more > 0
      ? [...missing, { what: `${what} of ${more} more files`, why: 'Airflow could not read them' }]
      : missing
  } catch (error) {
    if (!(error instanceof Denied)) throw error
    return [{ ...error.missing, what: `whether there are files that Airflow could not read` }]
  }
}

const TOLD_LINES = 20

/** Which connections and variables each DAG names, in its file and in its settings. */
export async function* readReferences(airflow: Airflow, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const seen = { dags: 0, computed: 0 }
  yield* inBatches(referencesOf(airflow, holes, seen, signal))
  const [first] = holes.missing
  if (first && holes.denied > 0 && holes.denied >= seen.dags) throw new Denied(first)
  const dark = holes.all()
  const missing: Missing[] = [...dark, ...(await unparsed(airflow, 'connections', signal))]
  if (seen.computed > 0)
    missing.push({
      what: `${seen.computed} places in files of DAGs`,
      why: 'they name a connection by something that is only known when it runs',
      permission: 'task runs show it, where an operator has the connection among its template fields',
    })
  // What was not shown is dark; what cannot be told from a file takes nothing from what was.
  return { status: dark.length > 0 ? 'partial' : 'complete', missing }
}

async function* referencesOf(
  airflow: Airflow,
  holes: Holes,
  seen: { dags: number; computed: number },
  signal: AbortSignal,
): AsyncGenerator<Observation[], void> {
  for await (const dag of everyOf(airflow, DAGS, signal)) {
    seen.dags += 1
    const id = segment(dag.dag_id)
    if (id === undefined) {
      holes.add({ what: 'what a DAG uses', why: 'its name fits in no path' })
      continue
    }
    const told = new Map<string, Observation>()
    const file = dag.relative_fileloc ?? dag.fileloc ?? 'its file'
    try {
      const source = await askFor(
        airflow,
        { path: `/api/v2/dagSources/${id}`, need: CODE_NEED, shape: DagSource },
        signal,
      )
      if (source && typeof source.content !== 'string')
        holes.add({ what: `what is in ${file}`.slice(0, 300), why: 'the server gave nothing of the file' })
      const { named, computed, isCut } = namesIn(source?.content ?? '')
      seen.computed += computed
      if (isCut) holes.add({ what: `the rest of ${file}`.slice(0, 300), why: 'the file is longer than anybody writes' })
      for (const [key, places] of Map.groupBy(named, ({ kind, name }) => `${kind}/${name}`)) {
        const tell = tellReference(dag, places, file)
        if (tell) told.set(key, tell)
      }
      const details = await askFor(
        airflow,
        { path: `/api/v2/dags/${id}/details`, need: DAGS.need, shape: DagDetails },
        signal,
      )
      for (const name of settingsOf(details)) {
        const key = `connection/${name}`
        if (!told.has(key))
          told.set(key, referenceOf(dag.dag_id, { kind: 'connection', name }, { location: 'its settings', lines: [] }))
      }
    } catch (error) {
      if (!(error instanceof Denied)) throw error
      holes.denied += 1
      holes.add({ ...error.missing, what: `what ${dag.dag_id} uses`.slice(0, 300) })
    }
    yield [...told.values()]
  }
}

function tellReference(dag: Dag, places: readonly Named[], file: string): Observation | undefined {
  const [first] = places
  if (!first) return undefined
  const lines = [...new Set(places.map(({ line }) => line))].slice(0, TOLD_LINES)
  return referenceOf(dag.dag_id, first, { location: `${file}:${lines[0]}`, lines })
}

type Place = { readonly location: string; readonly lines: readonly number[] }

function referenceOf(
  dag: string,
  { kind, name }: Pick<Named, 'kind' | 'name'>,
  { location, lines }: Place,
): Observation {
  const to: NativeId = kind === 'connection' ? connectionOf(name) : variableOf(name)
  return {
    kind: 'reference',
    id: { kind: `dag-${kind}`, id: JSON.stringify([dag, name]) },
    consumer: dagOf(dag),
    credential: to,
    how: kind === 'connection' ? 'connection' : 'config',
    location,
    evidence: 'static',
    facts: { lines: lines.map(String), uses: `${kind} ${name}` },
  }
}

const DEPTH_MAX = 6
const NAMES_MAX = 200

/** Names of connections in what a DAG gives to all its tasks, or takes as parameters. Nothing else of these leaves. */
function settingsOf(details: z.output<typeof DagDetails> | undefined): string[] {
  const names = new Set<string>()
  const open: { readonly value: unknown; readonly depth: number }[] = [
    { value: details?.default_args, depth: 0 },
    { value: details?.params, depth: 0 },
  ]
  for (let next = open.pop(); next && names.size < NAMES_MAX; next = open.pop()) {
    const { value, depth } = next
    if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) continue
    for (const [key, inner] of Object.entries(value)) {
      const name = isConnectionName(key) ? nameOf(inner) : undefined
      if (name !== undefined) names.add(name)
      else open.push({ value: inner, depth: depth + 1 })
    }
  }
  return [...names]
}

const Param = z.object({ value: z.string() })

function nameOf(value: unknown): string | undefined {
  const text = typeof value === 'string' ? value : Param.safeParse(value).data?.value
  return text !== undefined && isId(text) ? text : undefined
}

/** `conn_id`, `postgres_conn_id`: how operators call what names a connection. */
export function isConnectionName(field: string): boolean {
  return /(?:^|_)conn_id$/.test(field)
}

/** What can be the name of a connection: neither nothing, nor hidden, nor a template that was not filled in. */
export function isId(text: string): boolean {
  return /^[\w.:/@ -]{1,250}$/.test(text) && text !== 'None'
}
