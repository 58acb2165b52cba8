import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './free-port.ts'

export const ROOT = 'root-of-the-connector-test'

export type OpenBaoServer = {
  readonly url: string
  readonly auditLog: string
  /** As root; GET, POST, DELETE or LIST. */
  readonly api: (method: string, path: string, body?: object, token?: string) => Promise<Record<string, unknown>>
}

/** An OpenBao in memory with an audit device that writes a file. */
export async function openbaoServer(t: Pick<TestContext, 'after'>, program: string): Promise<OpenBaoServer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const home = mkdtempSync(join(tmpdir(), 'reeve-bao-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const auditLog = join(home, 'audit.log')
  const config = join(home, 'server.hcl')
  // OpenBao takes audit devices from its settings alone unless the API is let.
  writeFileSync(config, `audit "file" "log" {\n  options { file_path = "${auditLog}" }\n}\n`)
  const args = [
    'server',
    '-dev',
    `-config=${config}`,
    `-dev-root-token-id=${ROOT}`,
    `-dev-listen-address=127.0.0.1:${port}`,
  ]
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: home },
  })
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  t.after(() => child.kill('SIGKILL'))
  for (const until = performance.now() + 60_000; ; await pause(100)) {
    assert.ok(child.exitCode === null && performance.now() < until, said)
    const answer = await fetch(`${url}/v1/sys/health`).catch(() => undefined)
    if (answer?.ok) break
  }
  return {
    url,
    auditLog,
    async api(method, path, body, token = ROOT) {
      const answer = await fetch(`${url}/v1/${path}`, {
        method,
        headers: { 'x-vault-token': token, 'x-vault-request': 'true' },
        ...(body && { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      assert.ok(answer.ok, `${path}: ${answer.status} ${text}`)
      return text === '' ? {} : JSON.parse(text)
    },
  }
}
