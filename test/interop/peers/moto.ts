import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import type { Cleaning } from '../../support/installation.ts'
import type { Ran } from '../../support/program.ts'
import { pythonWith } from './python.ts'

/** moto, which answers as AWS does and keeps its state in memory, with the policies that AWS has of its own. */
export type Moto = {
  readonly url: string
  /** Runs lines of Python with `iam`, a client of boto3 under the first key, while nobody's rights count; answers what they print. */
  readonly boto: (lines: readonly string[]) => Promise<string>
  /** Runs lines of Python with boto3 and `url` as whoever the environment says, whether or not that works. */
  readonly run: (lines: readonly string[], env: NodeJS.ProcessEnv) => Promise<Ran>
  /** From here on keys and policies count, or not any more. */
  readonly guard: (isOn: boolean) => Promise<void>
  /** It is away from here on. */
  readonly stop: () => void
}

/** `before`: lines of Python that the server begins with. */
export async function motoServer(cleaning: Cleaning, { before = [] as readonly string[] } = {}): Promise<Moto> {
  const python = await pythonWith('moto', ['moto[server]==5.2.5'])
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const begin = [...before, 'from moto.server import main', `main(["-H", "127.0.0.1", "-p", "${port}"])`].join('\n')
  const env = { ...process.env, MOTO_IAM_LOAD_MANAGED_POLICIES: 'true' }
  const child = spawn(python, ['-c', begin], { stdio: 'ignore', env })
  const stop = () => void child.kill('SIGKILL')
  cleaning.after(stop)
  await eventually(async () => {
    assert.equal(child.exitCode, null, 'moto did not start')
    return (await fetch(`${url}/moto-api/`).catch(() => undefined))?.ok || undefined
  })
  const guard = async (isOn: boolean) =>
    void (await fetch(`${url}/moto-api/reset-auth`, { method: 'POST', body: isOn ? '0' : 'inf' }))
  const run: Moto['run'] = (lines, who) => {
    const all = { PATH: process.env.PATH, AWS_DEFAULT_REGION: 'us-east-1', AWS_EC2_METADATA_DISABLED: 'true', ...who }
    const script = ['import boto3, json', `url = "${url}"`, ...lines].join('\n')
    return new Promise((resolve) => {
      execFile(python, ['-c', script], { env: all, timeout: 60_000 }, (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
      })
    })
  }
  return {
    url,
    run,
    guard,
    stop,
    async boto(lines) {
      const head = [
        'iam = boto3.client("iam", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b")',
        'policy = lambda *statements: json.dumps({"Version": "2012-10-17", "Statement": list(statements)})',
        'allow = lambda action, resource="*", **more: dict(Effect="Allow", Action=action, Resource=resource, **more)',
        'deny = lambda action, resource="*", **more: dict(Effect="Deny", Action=action, Resource=resource, **more)',
        'trust = lambda principal, **more: dict(Effect="Allow", Principal=principal, Action=["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"], **more)',
      ]
      await guard(false)
      const { code, stdout, stderr } = await run([...head, ...lines], {})
      assert.equal(code, 0, stderr)
      await guard(true)
      return stdout.trim()
    },
  }
}
