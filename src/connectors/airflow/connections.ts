import {
  credential,
  inBatches,
  known,
  principal,
  resource,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { connectionOf, everyOf, variableOf, type Airflow, type Listed } from './api.ts'
import { fingerprintsOf, harmless, secretAt, secretsIn, together, type Met } from './secrets.ts'
import { Connection, Variable } from './shapes.ts'

export const CONNECTIONS: Listed<Connection> = {
  path: '/api/v2/connections',
  field: 'connections',
  order: 'connection_id',
  need: 'reading connections: role Op (simple), `can_read` on Connections (FAB)',
  shape: Connection,
  idOf: ({ connection_id: id }) => id,
}
export const VARIABLES: Listed<Variable> = {
  path: '/api/v2/variables',
  field: 'variables',
  order: 'key',
  need: 'reading variables: role Op (simple), `can_read` on Variables (FAB)',
  shape: Variable,
  idOf: ({ key }) => key,
}

/** Whoever the connection logs in as, at the system behind it: its own name is all that Airflow knows them by. */
const loginOf = (id: string): NativeId => ({ kind: 'connection-login', id })

/** Connections: what each leads to and logs in as, and what stands in it. Those of the environment and of other stores are in no list. */
export async function* readConnections(airflow: Airflow, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const masked = new Counted()
  yield* inBatches(connectionsOf(airflow, masked, signal))
  return { status: 'complete', missing: masked.missing('secrets of connections') }
}

async function* connectionsOf(airflow: Airflow, masked: Counted, signal: AbortSignal) {
  for await (const connection of everyOf(airflow, CONNECTIONS, signal)) {
    const { extra, password, login } = connection
    const [host, user, schema, description] = [
      await harmless(airflow, 'host', connection.host, signal),
      isKeyId(login) ? { text: login, met: together([]) } : await harmless(airflow, 'login', login, signal),
      await harmless(airflow, 'schema', connection.schema, signal),
      await harmless(airflow, 'description', connection.description, signal),
    ]
    const met = together([
      secretAt(airflow, 'password', password),
      ...[host, user, schema, description].map((each) => each.met),
      await secretsIn(airflow, 'extra', extra ?? '', signal),
    ])
    masked.count(met)
    yield tellConnection(connection, met, {
      host: host.text,
      login: user.text,
      schema: schema.text,
      description: description.text,
    })
  }
}

type Told = Readonly<Record<'host' | 'login' | 'schema' | 'description', string | null>>

function tellConnection(connection: Connection, met: Met, told: Told): Observation[] {
  const { connection_id: id, conn_type: type, port, team_name: team } = connection
  const { host, login, schema, description } = told
  const isPassword = met.places.some((place) => place === 'password' || place === 'host (address)')
  const prints = fingerprintsOf(met)
  // The id of a key of AWS is no secret, and it is known by it where it was made.
  const keyIds = isKeyId(login) ? [{ alg: 'key-id' as const, value: login }] : []
  return [
    principal({
      id: loginOf(id),
      type: 'account',
      name: id,
      aliases: login === null ? [] : [host === null ? login : `${login}@${host}`],
      state: known('active'),
      tags: { ...(description !== null && { description }), ...(typeof team === 'string' && { team }) },
      facts: { connectionType: type ?? null, login, host, port: port ?? null, schema },
    }),
    credential({
      id: connectionOf(id),
      principal: known(loginOf(id)),
      type: isPassword ? 'password' : met.places.length > 0 || keyIds.length > 0 ? 'other' : 'none',
      name: id,
      fingerprints: keyIds.length > 0 ? known([...keyIds, ...(prints.known ? prints.value : [])].slice(0, 10)) : prints,
      heldBy: known('ci'),
      facts: {
        connectionType: type ?? null,
        login,
        host,
        keeps: [...met.places],
        masked: [...met.masked],
      },
    }),
  ]
}

function isKeyId(login: string | null | undefined): login is string {
  return /^A[KS]IA[A-Z2-7]{16}$/.test(login ?? '')
}

/** Variables: by name alone, and by fingerprint where one is a secret. No value is kept. */
export async function* readVariables(airflow: Airflow, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const masked = new Counted()
  yield* inBatches(variablesOf(airflow, masked, signal))
  return { status: 'complete', missing: masked.missing('secrets in variables') }
}

async function* variablesOf(airflow: Airflow, masked: Counted, signal: AbortSignal) {
  for await (const variable of everyOf(airflow, VARIABLES, signal)) {
    const { key, value } = variable
    const met = await secretsIn(airflow, key, value ?? '', signal)
    const description = await harmless(airflow, 'description', variable.description, signal)
    masked.count(met)
    yield [tellVariable(variable, together([met, description.met]), description.text)]
  }
}

function tellVariable({ key, team_name: team }: Variable, met: Met, description: string | null): Observation {
  const facts = { description, team: team ?? null }
  if (met.places.length === 0)
    return resource({ id: variableOf(key), type: 'variable', name: key, sensitivity: unknown('unsupported'), facts })
  return credential({
    id: variableOf(key),
    type: 'stored-secret',
    name: key,
    fingerprints: fingerprintsOf(met),
    heldBy: known('ci'),
    facts: { ...facts, keeps: [...met.places], masked: [...met.masked] },
  })
}

/** Hidden values, which make no reading less than whole: they are told, and are known to be there. */
class Counted {
  #masked = 0

  count(met: Met): void {
    if (met.masked.length > 0) this.#masked += 1
  }

  missing(what: string): Missing[] {
    if (this.#masked === 0) return []
    return [
      {
        what: `${what}: of ${this.#masked}`,
        why: 'Airflow shows three stars in their place, so they are recognised nowhere else',
      },
    ]
  }
}
