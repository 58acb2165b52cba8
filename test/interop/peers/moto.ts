import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { pythonWith } from './python.ts'

const run = promisify(execFile)

/** moto, which answers as AWS does and keeps its state in memory, with the policies that AWS has of its own. */
export type Moto = {
  readonly url: string
  /** Runs lines of Python with `iam`, a client of boto3 under the first key; answers what they print. */
  readonly boto: (lines: readonly string[]) => Promise<string>
  /** From here on keys and policies count, or not any more. */
  readonly guard: (isOn: boolean) => Promise<void>
}

export async function motoServer(t: Pick<TestContext, 'after'>): Promise<Moto> {
  const python = await pythonWith('moto', ['moto[server]==5.2.5'])
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const env = { ...process.env, MOTO_IAM_LOAD_MANAGED_POLICIES: 'true' }
  const child = spawn(python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore', env })
  t.after(() => void child.kill('SIGKILL'))
  await untilUp(url)
  const guard = async (isOn: boolean) =>
    void (await fetch(`${url}/moto-api/reset-auth`, { method: 'POST', body: isOn ? '0' : 'inf' }))
  return {
    url,
    guard,
    async boto(lines) {
      const head = [
        'import boto3, json',
        `iam = boto3.client("iam", endpoint_url="${url}", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")`,
        'policy = lambda *statements: json.dumps({"Version": "2012-10-17", "Statement": list(statements)})',
        'allow = lambda action, resource="*", **more: dict(Effect="Allow", Action=action, Resource=resource, **more)',
        'deny = lambda action, resource="*", **more: dict(Effect="Deny", Action=action, Resource=resource, **more)',
        'trust = lambda principal, **more: dict(Effect="Allow", Principal=principal, Action=["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"], **more)',
      ]
      await guard(false)
      const env = { PATH: process.env.PATH, AWS_EC2_METADATA_DISABLED: 'true' }
      const { stdout } = await run(python, ['-c', [...head, ...lines].join('\n')], { env, timeout: 60_000 })
      await guard(true)
      return stdout.trim()
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address ? address.port : 0
}

async function untilUp(url: string): Promise<void> {
  const until = Date.now() + 60_000
  for (;;) {
    const answer = await fetch(`${url}/moto-api/`).catch(() => undefined)
    if (answer?.ok) return
    if (Date.now() >= until) throw new Error('moto did not start')
    await new Promise((resolve) => {
      setTimeout(resolve, 200)
    })
  }
}
