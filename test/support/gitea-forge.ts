import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestContext } from 'node:test'
import { freePort } from './free-port.ts'

const run = promisify(execFile)
const START_MS = 60_000

export type GiteaForge = {
  readonly url: string
  readonly user: string
  readonly password: string
  /** The API as administrator, by password; throws for an answer that is no success. */
  readonly api: (method: string, path: string, body?: unknown) => Promise<unknown>
  /** A token of a user with these scopes. */
  readonly tokenOf: (user: string, scopes: readonly string[]) => Promise<string>
}

/** A real Gitea on SQLite in a folder of its own, with an administrator and nothing else. */
export async function giteaForge(t: Pick<TestContext, 'after'>, program: string): Promise<GiteaForge> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-gitea-'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  mkdirSync(join(folder, 'data'))
  // The program is built without its texts and templates; they lie beside its source.
  const told = await run('go', ['list', '-m', '-f', '{{.Dir}}', 'code.gitea.io/gitea'], {
    cwd: join(import.meta.dirname, '..', 'interop', 'peers', 'gitea'),
  })
  const config = join(folder, 'app.ini')
  const lines = [
    'RUN_MODE = prod',
    // Gitea does not run as root unless it is told that this is meant.
    'I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true',
    `APP_DATA_PATH = ${folder}/data`,
    '[database]',
    'DB_TYPE = sqlite3',
    `PATH = ${folder}/data/gitea.db`,
    '[server]',
    `HTTP_ADDR = 127.0.0.1\nHTTP_PORT = ${port}\nROOT_URL = ${url}/\nSTATIC_ROOT_PATH = ${told.stdout.trim()}\nDISABLE_SSH = true\nOFFLINE_MODE = true`,
    '[security]',
    `INSTALL_LOCK = true\nSECRET_KEY = ${randomBytes(32).toString('hex')}\nINTERNAL_TOKEN = ${randomBytes(40).toString('hex')}`,
    '[repository]',
    `ROOT = ${folder}/repositories`,
    '[webhook]\nALLOWED_HOST_LIST = *',
    '[log]\nMODE = console\nLEVEL = Warn',
  ]
  writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 })
  const env = { ...process.env, GITEA_WORK_DIR: folder, HOME: folder, USER: process.env['USER'] ?? 'root' }
  const user = 'warden'
  const password = randomBytes(16).toString('hex')
  await run(program, ['migrate', '--config', config], { env, timeout: START_MS })
  const admin = ['admin', 'user', 'create', '--admin', '--username', user, '--password', password]
  const more = ['--email', 'warden@forge.example', '--must-change-password=false', '--config', config]
  await run(program, [...admin, ...more], { env, timeout: START_MS })
  const child = spawn(program, ['web', '--config', config], { env, stdio: 'ignore' })
  t.after(async () => {
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  })
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const api: GiteaForge['api'] = async (method, path, body) => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
  await untilReady(url)
  let made = 0
  return {
    url,
    user,
    password,
    api,
    async tokenOf(name, scopes) {
      made += 1
      const told = await api('POST', `/users/${name}/tokens`, { name: `made-${made}`, scopes })
      return (told as { sha1: string }).sha1
    },
  }
}

async function untilReady(url: string): Promise<void> {
  const until = Date.now() + START_MS
  for (;;) {
    const answer = await fetch(`${url}/api/v1/version`).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.ok) return
    if (Date.now() > until) throw new Error('Gitea did not become ready')
    await new Promise((resolve) => {
      setTimeout(resolve, 200)
    })
  }
}
