import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { enrolFounder, nobody, redeem } from '../../demo/people.ts'
import { openClient, type Client } from '../../src/cli/client.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { loadConfig } from '../../src/kernel/config.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { startServer, type RunningServer } from '../../src/server.ts'

/** What came back over the wire. */
export type Answered = {
  readonly status: number
  readonly type: string
  readonly requestId: string | undefined
  /** Undefined where it is no JSON. */
  readonly body: unknown
}

/** A real Reeve that serves one scenario, asked as a registered enforcement point asks it. */
export type Peer = AsyncDisposable & {
  readonly origin: string
  get(path: string): Promise<Answered>
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Answered>
}

const SHIPPED = join(import.meta.dirname, '../../policies')
const GATE = 'gate'

/** The installation outlives the scenarios: its founder and its enforcement point are made once. */
export type Kept = { gate?: Client }

/** Starts Reeve with the shipped policies and those of a scenario beside them. `vocabulary` is what is known of the scenario's things. */
export async function startPeer(folder: string, kept: Kept, scenario: string, vocabulary?: unknown): Promise<Peer> {
  const policies = join(folder, `policies-${scenario}`)
  writePolicies(policies, join(import.meta.dirname, scenario), vocabulary)
  const file = join(folder, `${scenario}.yaml`)
  const config = {
    home: join(folder, 'home'),
    policies,
    api: { port: 0 },
    gateways: { postgres: { port: 0 } },
    teams: { ops: { members: ['ada'] } },
    authzen: { enforcementPoints: [GATE] },
    limits: { requestsPerSecond: 100_000, requestBurst: 100_000 },
  }
  writeFileSync(file, stringify(config))
  const server = await startServer(loadConfig({ env: {}, workingFolder: folder, file }), silentLog)
  kept.gate ??= await enrolGate(server)
  const { token } = kept.gate.connection
  const asked = (method: string, path: string, body?: string, headers: Readonly<Record<string, string>> = {}) =>
    ask(server, method, path, body, { authorization: `Bearer ${token?.reveal() ?? ''}`, ...headers })
  return {
    origin: server.api.url,
    get: (path) => asked('GET', path),
    post: (path, body, headers = { 'content-type': 'application/json' }) =>
      asked('POST', path, typeof body === 'string' ? body : JSON.stringify(body), headers),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

function writePolicies(folder: string, scenario: string, vocabulary: unknown): void {
  cpSync(SHIPPED, folder, { recursive: true, filter: (path) => !path.endsWith('.test.yaml') })
  cpSync(scenario, folder, { recursive: true, filter: (path) => !/\.(json|cedarschema)$/.test(path) })
  const shipped = readFileSync(join(SHIPPED, 'schema.cedarschema'), 'utf8').trimEnd()
  const types = readFileSync(join(scenario, 'types.cedarschema'), 'utf8')
  const body = shipped.slice(0, -1).replace('type Context = {', 'type Context = {\n    action?: { soft?: Bool },')
  writeFileSync(join(folder, 'schema.cedarschema'), `${body}\n${types}}\n`)
  const own: object = JSON.parse(readFileSync(join(scenario, 'actions.json'), 'utf8'))
  const actions: object = JSON.parse(readFileSync(join(SHIPPED, 'actions.json'), 'utf8'))
  writeFileSync(join(folder, 'actions.json'), JSON.stringify({ ...actions, ...own }))
  if (vocabulary !== undefined)
    writeFileSync(join(folder, 'authzen.yaml'), stringify(vocabulary, { aliasDuplicateObjects: false }))
}

async function enrolGate(server: RunningServer): Promise<Client> {
  const ada = await enrolFounder(server)
  const input = { kind: 'workload', name: GATE, profile: 'service', ownerTeam: 'ops', owner: 'ada' } as const
  await ada.ask(registerIdentity, { input })
  await ada.ask(attestOwner, { params: { identity: GATE } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: GATE }, input: {} })
  return redeem(server, secret)
}

function ask(
  server: RunningServer,
  method: string,
  path: string,
  body: string | undefined,
  headers: Readonly<Record<string, string>>,
): Promise<Answered> {
  const { address, authority } = openClient(nobody(server)).connection
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: address.hostname,
        port: address.port,
        method,
        path,
        ca: authority,
        agent: false,
        headers: { ...headers },
      },
      (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
        response.on('error', reject)
        response.on('end', () => {
          const { 'content-type': type = '', 'x-request-id': requestId } = response.headers
          resolve({
            status: response.statusCode ?? 0,
            type: type.split(';')[0] ?? '',
            requestId: typeof requestId === 'string' ? requestId : undefined,
            body: parsed(text),
          })
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
