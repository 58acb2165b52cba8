import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { sleep } from '../../../src/kernel/timer.ts'
import { freePort } from '../../support/free-port.ts'
import { pythonWith } from './python.ts'

const run = promisify(execFile)

/** Airflow names what it was tried with in a file of its project's host; these are of that time and go together. */
const PACKAGES = [
  'apache-airflow==3.2.2',
  'apache-airflow-task-sdk==1.2.2',
  'apache-airflow-providers-fab==3.10.2',
  'apache-airflow-providers-common-sql==2.4.0',
  'apache-airflow-providers-sqlite==4.3.4',
  'apache-airflow-providers-standard==1.21.0',
  'pydantic==2.12.5',
  'fastapi==0.136.3',
  'starlette==1.0.1',
  'cadwyn==7.0.0',
  'sqlalchemy==2.0.58',
]
const START_MS = 240_000
/** Of the administrator of a deployment with users of its own. */
const PASSWORD = 'only for this test'
const FAB = 'airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager'

type Answer = { readonly status: number; readonly body: unknown }

/** A deployment with SQLite below it: the API server runs, the scheduler only while something is to be run. */
export type AirflowPeer = {
  readonly url: string
  readonly passwordOf: (user: string) => string
  /** As the administrator. */
  readonly api: (method: string, path: string, body?: unknown) => Promise<unknown>
  readonly answer: (token: string, method: string, path: string, body?: unknown) => Promise<Answer>
  readonly tokenOf: (user: string, password: string) => Promise<string>
  /** Reads the files of DAGs once. */
  readonly parse: () => Promise<void>
  /** Starts these DAGs, and waits until their runs ended. */
  readonly runs: (dags: readonly string[]) => Promise<void>
}

type Start = {
  /** `simple`: users `admin`, `op`, `user` and `viewer` with the role of that name. `fab`: `admin`, and whom the test makes. */
  readonly auth: 'simple' | 'fab'
  /** Teams there are; of `simple`, whose user `op` is then of the first alone. */
  readonly teams?: readonly string[]
  /** Files of DAGs by name. */
  readonly dags?: Readonly<Record<string, string>>
}

export async function startAirflow(
  t: { readonly after: (end: () => void) => void },
  start: Start,
): Promise<AirflowPeer> {
  const python = await pythonWith('airflow-3.2.2', PACKAGES)
  const home = mkdtempSync(join(tmpdir(), 'reeve-airflow-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  mkdirSync(join(home, 'dags'))
  for (const [name, text] of Object.entries(start.dags ?? {})) writeFileSync(join(home, 'dags', name), text)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const env = environmentOf(home, url, start)
  const airflow = (...args: readonly string[]) => run(python, ['-m', 'airflow', ...args], { env, timeout: START_MS })
  await airflow('db', 'migrate')
  for (const team of start.teams ?? []) await airflow('teams', 'create', team)
  if (start.auth === 'fab') {
    const who = ['-u', 'admin', '-p', PASSWORD, '-r', 'Admin', '-f', 'Ada', '-l', 'Min', '-e', 'admin@company.example']
    await airflow('users', 'create', ...who)
  }
  const begin = (...args: readonly string[]) => {
    const child = spawn(python, ['-m', 'airflow', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let said = ''
    child.stdout.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(-20_000)))
    child.stderr.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(-20_000)))
    const isRunning = () => child.exitCode === null && child.signalCode === null
    const stop = () => {
      // What it started below itself goes with it.
      if (child.pid !== undefined && isRunning()) process.kill(-child.pid, 'SIGKILL')
    }
    t.after(stop)
    return { said: () => said, isRunning, stop }
  }
  const server = begin('api-server', '--host', '127.0.0.1', '--port', String(port), '--workers', '1')
  await until(async () => (await fetch(`${url}/api/v2/version`)).ok, server)
  const peer = peerOf(url, home, start)
  return {
    ...peer,
    async parse() {
      await airflow('dag-processor', '--num-runs', '1')
    },
    async runs(dags) {
      const scheduler = begin('scheduler')
      try {
        for (const dag of dags) await peer.api('POST', `/api/v2/dags/${dag}/dagRuns`, { logical_date: null })
        await until(async () => {
          const { dag_runs: all } = Runs.parse(await peer.api('GET', '/api/v2/dags/~/dagRuns'))
          return all.every(({ state }) => state === 'success' || state === 'failed')
        }, scheduler)
      } finally {
        scheduler.stop()
      }
    },
  }
}

const Runs = z.object({ dag_runs: z.array(z.object({ state: z.string() })) })
const Token = z.object({ access_token: z.string() })
const Passwords = z.record(z.string(), z.string())

function environmentOf(home: string, url: string, { auth, teams: [team] = [] }: Start): NodeJS.ProcessEnv {
  const key = 'only-for-this-test-'.repeat(4)
  return {
    PATH: process.env['PATH'],
    HOME: home,
    AIRFLOW_HOME: home,
    AIRFLOW__CORE__LOAD_EXAMPLES: 'False',
    AIRFLOW__CORE__EXECUTOR: 'LocalExecutor',
    AIRFLOW__CORE__PARALLELISM: '2',
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL: `${url}/execution/`,
    AIRFLOW__API__SECRET_KEY: key,
    AIRFLOW__API_AUTH__JWT_SECRET: key,
    ...(team !== undefined && { AIRFLOW__CORE__MULTI_TEAM: 'True' }),
    ...(auth === 'fab'
      ? // What a user may is kept for half a minute otherwise.
        { AIRFLOW__CORE__AUTH_MANAGER: FAB, AIRFLOW__FAB__CACHE_TTL: '0' }
      : {
          AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS: `admin:admin,op:op${team === undefined ? '' : `:${team}`},user:user,viewer:viewer`,
        }),
  }
}

function peerOf(url: string, home: string, { auth }: Start): Omit<AirflowPeer, 'parse' | 'runs'> {
  const passwordOf = (user: string) => {
    if (auth === 'fab') return PASSWORD
    const made = readFileSync(join(home, 'simple_auth_manager_passwords.json.generated'), 'utf8')
    return Passwords.parse(JSON.parse(made))[user] ?? assert.fail(user)
  }
  const tokenOf = async (username: string, password: string) => {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ username, password })
    const answer = await fetch(`${url}/auth/token`, { method: 'POST', headers, body })
    return Token.parse(await answer.json()).access_token
  }
  const answer = async (token: string, method: string, path: string, body?: unknown) => {
    const told = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await told.text()
    return { status: told.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) }
  }
  let admin: Promise<string> | undefined
  return {
    url,
    passwordOf,
    tokenOf,
    answer,
    async api(method, path, body) {
      admin ??= tokenOf('admin', passwordOf('admin'))
      const { status, body: told } = await answer(await admin, method, path, body)
      assert.ok(status < 300, `${method} ${path}: ${status} ${JSON.stringify(told)}`)
      return told
    },
  }
}

type Process = { readonly said: () => string; readonly isRunning: () => boolean }

async function until(isSo: () => Promise<boolean>, { said, isRunning }: Process): Promise<void> {
  for (const end = performance.now() + START_MS; ; await sleep(500)) {
    assert.ok(isRunning() && performance.now() < end, said())
    if (await isSo().catch(() => false)) return
  }
}
