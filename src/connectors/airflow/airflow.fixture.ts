/** A stub of Airflow's API: it answers from memory what Airflow 3.2.2 was seen to answer. What is proven is proven on Airflow itself. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'

type Item = Readonly<Record<string, unknown>>

export type AirflowStub = {
  readonly url: string
  readonly asked: string[]
  readonly connections: Item[]
  readonly variables: Item[]
  readonly dags: Item[]
  readonly sources: Map<string, string>
  readonly runs: Item[]
  readonly importErrors: Item[]
  /** Paths that begin so are answered so: by a status, or by a text. */
  readonly answers: Map<string, number | string>
  /** Tokens that were given are worth nothing any more. */
  readonly forget: () => void
}

export const connection = (id: string, more: Item = {}): Item => ({ connection_id: id, conn_type: 'http', ...more })
export const dag = (id: string, more: Item = {}): Item => ({ dag_id: id, relative_fileloc: `${id}.py`, ...more })
export const run = (of: string, at: string): Item => ({ dag_id: of, dag_run_id: `manual__${at}`, start_date: at })

const PAGE = 100

export async function airflowStub(t: Pick<TestContext, 'after'>): Promise<AirflowStub> {
  let epoch = 0
  const stub: Omit<AirflowStub, 'url'> = {
    asked: [],
    connections: [],
    variables: [],
    dags: [],
    sources: new Map(),
    runs: [],
    importErrors: [],
    answers: new Map(),
    forget: () => void (epoch += 1),
  }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    stub.asked.push(request.url ?? '')
    request.resume()
    if (url.pathname === '/auth/token') tell(response, { access_token: `e30.e30.${epoch}` }, 201)
    else if (url.pathname !== '/api/v2/version' && request.headers.authorization !== `Bearer e30.e30.${epoch}`)
      tell(response, {}, 401)
    else {
      const [, set] = [...stub.answers].find(([path]) => (request.url ?? '').startsWith(path)) ?? []
      if (typeof set === 'number') response.writeHead(set, set === 429 ? { 'retry-after': '7' } : {}).end('{}')
      else if (typeof set === 'string') response.end(set)
      else answer(stub, url, response)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { ...stub, url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}` }
}

function tell(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function answer(stub: Omit<AirflowStub, 'url'>, { pathname, searchParams }: URL, response: ServerResponse): void {
  const paged = (field: string, items: readonly Item[]) => {
    const offset = Number(searchParams.get('offset') ?? 0)
    const limit = Math.min(Number(searchParams.get('limit') ?? PAGE), PAGE)
    tell(response, { [field]: items.slice(offset, offset + limit), total_entries: items.length })
  }
  const within = (items: readonly Item[]) => {
    const [from, to] = [searchParams.get('start_date_gte') ?? '', searchParams.get('start_date_lte') ?? '9999']
    return items.filter(({ start_date: at }) => String(at) >= from && String(at) <= to)
  }
  const sorted = (items: readonly Item[], key: string) =>
    items.toSorted((a, b) => (String(a[key]) < String(b[key]) ? -1 : 1))
  const [, source] = /^\/api\/v2\/dagSources\/(.+)$/.exec(pathname) ?? []
  const content = stub.sources.get(decodeURIComponent(source ?? ''))
  if (pathname === '/api/v2/version') tell(response, { version: '3.2.2' })
  else if (pathname === '/ui/config') tell(response, { multi_team: false })
  else if (pathname === '/api/v2/connections') paged('connections', sorted(stub.connections, 'connection_id'))
  else if (pathname === '/api/v2/variables') paged('variables', sorted(stub.variables, 'key'))
  else if (pathname === '/api/v2/dags') paged('dags', sorted(stub.dags, 'dag_id'))
  else if (pathname === '/api/v2/dags/~/dagRuns') paged('dag_runs', within(sorted(stub.runs, 'start_date')))
  else if (pathname === '/api/v2/dags/~/dagRuns/~/taskInstances') paged('task_instances', [])
  else if (pathname === '/api/v2/eventLogs') paged('event_logs', [])
  else if (pathname === '/api/v2/importErrors') paged('import_errors', stub.importErrors)
  else if (content !== undefined) tell(response, { content })
  else if (pathname.startsWith('/auth/')) response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
  else tell(response, { detail: 'not found' }, 404)
}
