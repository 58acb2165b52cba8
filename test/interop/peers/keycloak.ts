import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { sleep } from '../../../src/kernel/timer.ts'
import { build, keptFolder } from './folder.ts'
import { freePort } from '../../support/free-port.ts'

/** What is fetched. */
const KEYCLOAK_VERSION = '26.7.3'
const CENTRAL = 'https://repo1.maven.org/maven2/org/keycloak/keycloak-quarkus-dist'

/**
 * The folder of a Keycloak from Maven Central, to be started as `bin/kc.sh start-dev` with Java 17 or later. A start with other features builds
 * itself anew in its folder, so each set of them has its own.
 */
async function keycloakHome(features: readonly string[]): Promise<string> {
  const name = [`keycloak-${KEYCLOAK_VERSION}`, ...features].join('-')
  const folder = await keptFolder(name, async (draft) => {
    const archive = join(draft, 'keycloak.tar.gz')
    const answer = await fetch(`${CENTRAL}/${KEYCLOAK_VERSION}/keycloak-quarkus-dist-${KEYCLOAK_VERSION}.tar.gz`)
    if (!answer.ok || answer.body === null) throw new Error(`Keycloak cannot be fetched: HTTP ${answer.status}`)
    await pipeline(Readable.fromWeb(answer.body), createWriteStream(archive))
    await build('tar', ['-xzf', archive, '--strip-components=1'], draft)
  })
  return folder
}

const ADMIN = 'admin'
const PASSWORD = 'only for this test'
const START_MS = 240_000

type Start = { readonly port?: number; readonly authority?: string; readonly features?: readonly string[] }

/** Keycloak on a port of this machine, in memory, trusting an authority beside the public ones. */
export async function startKeycloak(
  t: { readonly after: (end: () => void) => void },
  start: Start = {},
): Promise<string> {
  const { port = await freePort(), authority, features = [] } = start
  const home = await keycloakHome(features)
  const folder = mkdtempSync(join(tmpdir(), 'reeve-keycloak-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const args = ['start-dev', '--db=dev-mem', `--http-port=${port}`, '--http-host=127.0.0.1']
  if (features.length > 0) args.push(`--features=${features.join(',')}`)
  if (authority !== undefined) {
    const ca = join(folder, 'ca.pem')
    writeFileSync(ca, authority)
    args.push(`--truststore-paths=${ca}`)
  }
  const child = spawn(join(home, 'bin', 'kc.sh'), args, {
    env: { ...process.env, KC_BOOTSTRAP_ADMIN_USERNAME: ADMIN, KC_BOOTSTRAP_ADMIN_PASSWORD: PASSWORD },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  t.after(() => {
    // The script starts Java below it: both go.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  })
  const url = `http://127.0.0.1:${port}`
  for (const until = performance.now() + START_MS; ; await sleep(500)) {
    assert.ok(child.exitCode === null && performance.now() < until, said)
    const answer = await fetch(`${url}/realms/master`).catch(() => undefined)
    if (answer?.ok) return url
  }
}

/** A call of its administration: a GET without a body, otherwise a POST or what is named. */
export async function administer(url: string, path: string, body?: unknown, method = 'POST'): Promise<unknown> {
  const form = { grant_type: 'password', client_id: 'admin-cli', username: ADMIN, password: PASSWORD }
  const token = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams(form),
  })
  const { access_token } = z.object({ access_token: z.string() }).parse(await token.json())
  const answer = await fetch(`${url}/admin${path}`, {
    method: body === undefined ? 'GET' : method,
    headers: { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`)
  const text = await answer.text()
  return text === '' ? undefined : JSON.parse(text)
}
