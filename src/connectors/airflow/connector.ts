import { z } from 'zod'
import {
  Denied,
  loginOf,
  sourceOfParts,
  Unreadable,
  type Connector,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { airflowOf, missingOf, type Airflow } from './api.ts'
import { AUDIT, readAudit } from './audit.ts'
import { CONNECTIONS, readConnections, readVariables, VARIABLES } from './connections.ts'
import { CODE_NEED, DAGS, readDags, readReferences } from './dags.ts'
import { readPeople, withoutPeople } from './people.ts'
import { readRuns, readTaskRuns, RUNS, TASK_RUNS } from './runs.ts'
import { AirflowSourceCredential, AirflowSourceSettings } from './settings.ts'

/** A name that nothing has: whoever may see all of a kind is told that there is none, whoever may see some is refused. */
const NOBODY = 'reeve-asks-whether-it-sees-all'

type Part = {
  readonly gives: string
  readonly permission: string
  /** Asked by the probe. */
  readonly first: string
  /** What has to be seen whole for this to be. */
  readonly all: readonly { readonly path: string; readonly need: string }[]
  /** Whether it is kept apart by team, where there are teams. */
  readonly isByTeam: boolean
  readonly isFeed?: true
  readonly read: (airflow: Airflow, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
}

const ALL_DAGS = {
  path: `/api/v2/dags/${NOBODY}`,
  need: 'reading all DAGs: `can_read` on DAGs, and not on single ones',
}
const of = ({ path, need }: { readonly path: string; readonly need: string }) => ({
  permission: need,
  first: `${path}${path.includes('?') ? '&' : '?'}limit=1`,
})

const PARTS: Readonly<Record<string, Part>> = {
  connections: {
    gives:
      'connections with type, host and login, and which secrets stand in them, by fingerprint where Airflow shows them',
    ...of(CONNECTIONS),
    all: [{ path: `${CONNECTIONS.path}/${NOBODY}`, need: CONNECTIONS.need }],
    isByTeam: true,
    read: (airflow, _since, signal) => readConnections(airflow, signal),
  },
  variables: {
    gives: 'variables by name, and by fingerprint those that are secrets',
    ...of(VARIABLES),
    all: [{ path: `${VARIABLES.path}/${NOBODY}`, need: VARIABLES.need }],
    isByTeam: true,
    read: (airflow, _since, signal) => readVariables(airflow, signal),
  },
  dags: {
    gives: 'DAGs with owners, tags, schedule, and whether they are paused; files that could not be read',
    ...of(DAGS),
    all: [ALL_DAGS],
    isByTeam: true,
    read: (airflow, _since, signal) => readDags(airflow, signal),
  },
  references: {
    gives: 'which connections and variables a DAG names in its file or settings',
    permission: CODE_NEED,
    first: `/api/v2/dagSources/${NOBODY}`,
    all: [ALL_DAGS],
    isByTeam: true,
    read: (airflow, _since, signal) => readReferences(airflow, signal),
  },
  people: {
    gives: 'users, roles and what each may, where the auth manager is that of Flask AppBuilder',
    permission: 'FAB: `can_read` on Users and on Roles',
    first: '/auth/fab/v1/roles?limit=1',
    all: [],
    isByTeam: false,
    read: (airflow, _since, signal) => readPeople(airflow, signal),
  },
  runs: {
    gives: 'runs of DAGs with who started them, and the window they cover',
    ...of(RUNS),
    all: [ALL_DAGS],
    isByTeam: true,
    isFeed: true,
    read: readRuns,
  },
  'task-runs': {
    gives: 'which connections tasks were given, where it is a template field of their operator',
    ...of(TASK_RUNS),
    all: [ALL_DAGS],
    isByTeam: true,
    isFeed: true,
    read: readTaskRuns,
  },
  'audit-log': {
    gives: 'who did what by the API, on which DAG, connection or variable',
    ...of(AUDIT),
    all: [ALL_DAGS],
    isByTeam: true,
    isFeed: true,
    read: readAudit,
  },
}

const manifest: Manifest = {
  id: 'airflow',
  version: '1',
  source: 'Apache Airflow 3, by its stable API (version 2)',
  observes: ['principal', 'credential', 'resource', 'grant', 'reference', 'usage', 'usage-window'],
  reads: Object.entries(PARTS).map(([scope, { gives, permission }]) => ({
    scope,
    gives,
    permission,
    isOptional: scope !== 'connections',
  })),
  writes: [],
  blindSpots: [
    'connections and variables of the environment (`AIRFLOW_CONN_…`) and of other stores: they are in no list, only names of them in DAGs are met',
    'secrets that Airflow hides: that they are there is told, and they are recognised nowhere else',
    'how old a connection is, and whether its secret works; one that was deleted and made again under its name',
    'connections that a task names while it runs, or an operator takes by its own default, unless they are among its rendered fields',
    'what code that a DAG imports does; what a task does beside its connections',
    'who may log in, where the auth manager is another than that of Flask AppBuilder',
    'runs, tasks and entries that were deleted before they were read, and connections rendered longer ago than Airflow keeps rendered fields',
    'pools, assets, values passed between tasks (XCom), logs',
  ],
  metadataHandling:
    'Names, types, hosts, ports, logins, schemas, descriptions, owners, tags, schedules, files with lines, users, mail addresses, roles, times. Of secrets in connections and variables a keyed fingerprint where Airflow shows them; no password, no value of a variable, no extra, no source, no rendered field, no stack trace.',
  risks: ['NHI2:2025', 'NHI5:2025', 'NHI7:2025', 'NHI8:2025', 'NHI9:2025', 'NHI10:2025'],
}

/** Reads what an Airflow logs in with elsewhere, and which of its DAGs do. */
export const airflowConnector: Connector = {
  manifest,
  settings: AirflowSourceSettings,
  credential: AirflowSourceCredential,
  address: (settings) => AirflowSourceSettings.parse(settings).url,
  async open(given): Promise<OpenSource> {
    const settings = AirflowSourceSettings.parse(given.settings)
    const credential = loginOf(given, AirflowSourceCredential, 'user to log in as')
    const airflow = airflowOf(given, settings, credential)
    return sourceOfParts(PARTS, {
      probe: (signal) => probe(airflow, signal),
      read: (part, since, signal) => readPart(airflow, part, since, signal),
    })
  },
}

/** What it may see is asked before and behind: a list from which something was left out on the way is not taken for whole. */
async function* readPart(
  airflow: Airflow,
  part: Part,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  await askedFirst(airflow, part, signal)
  const before = await left(airflow, part, signal)
  const report = yield* part.read(airflow, since, signal)
  const behind = before.length > 0 ? before : await left(airflow, part, signal)
  if (behind.length === 0) return report
  const status = report.status === 'complete' ? 'partial' : report.status
  return { ...report, status, missing: [...behind, ...report.missing] }
}

/** What is left out of the lists of a part without a word. */
async function left(airflow: Airflow, part: Part, signal: AbortSignal): Promise<Missing[]> {
  const missing: Missing[] = []
  for (const { path, need } of part.all)
    if (await isRefused(airflow, path, signal)) missing.push(missingOf(need, 'what this login may not see'))
  if (part.isByTeam && (await isOfTeam(airflow, signal)))
    missing.push(missingOf('role Admin: others see what is of their teams', 'what is of other teams'))
  return missing
}

async function isRefused(airflow: Airflow, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await airflow.ask(path, '', signal)
    return false
  } catch (error) {
    if (!(error instanceof Denied)) throw error
    return true
  }
}

const Config = z.object({ multi_team: z.boolean().nullish() })

/** Deployments before 3.2 have no teams, and do not say so. */
async function isOfTeam(airflow: Airflow, signal: AbortSignal): Promise<boolean> {
  const config = Config.safeParse(await airflow.ask('/ui/config', 'a login', signal)).data
  const { role } = await airflow.claims(signal)
  return config?.multi_team === true && role?.toLowerCase() !== 'admin'
}

/** A part that may not be read at all is denied before anything of it is told. */
async function askedFirst(airflow: Airflow, { first, permission }: Part, signal: AbortSignal): Promise<void> {
  await airflow.ask(first, permission, signal)
}

const Version = z.object({ version: z.string() })

async function probe(airflow: Airflow, signal: AbortSignal) {
  const version = Version.safeParse(await airflow.ask('/api/v2/version', 'a login', signal)).data
  if (!version) throw new Unreadable('there is no Airflow 3 at this address')
  const probed: ProbedScope[] = []
  for (const [scope, part] of Object.entries(PARTS)) {
    const missing = await whatIsMissing(airflow, scope, part, signal)
    probed.push({ scope, isVisible: missing.length === 0, missing })
  }
  // Nothing that a deployment shows of itself stays when its address changes.
  const authority = `airflow:${airflow.settings.url.replace(/\/+$/, '')}`
  return { authority, system: `Apache Airflow ${version.version}`.slice(0, 200), scopes: probed }
}

async function whatIsMissing(airflow: Airflow, scope: string, part: Part, signal: AbortSignal): Promise<Missing[]> {
  try {
    await askedFirst(airflow, part, signal)
    const without = scope === 'people' ? await withoutPeople(airflow, signal) : undefined
    return without ? [without] : await left(airflow, part, signal)
  } catch (error) {
    if (!(error instanceof Denied)) throw error
    return [{ ...error.missing, what: part.gives }]
  }
}
