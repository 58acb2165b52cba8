import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from './free-port.ts'

export type KubernetesCluster = {
  readonly url: string
  /** PEM by which the API server is believed. */
  readonly authorities: string
  readonly adminToken: string
  readonly auditLog: string
  /** The API as administrator; throws for an answer that is no success. */
  readonly api: (method: string, path: string, body?: unknown) => Promise<Record<string, unknown>>
  readonly apply: (path: string, thing: object) => Promise<void>
}

/** Where the API server posts its audit events, in batches, beside its log. */
export type AuditWebhook = { readonly server: string; readonly authority: string; readonly token: string }

function kubeconfigOf({ server, authority, token }: AuditWebhook): string {
  const ca = Buffer.from(authority).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'reeve', cluster: { server, 'certificate-authority-data': ca } }],
    users: [{ name: 'cluster', user: { token } }],
    contexts: [{ name: 'audit', context: { cluster: 'reeve', user: 'cluster' } }],
    'current-context': 'audit',
  })
}

const START_MS = 60_000

/** A real API server over etcd, without controllers and nodes: RBAC, admission, storage and audit are as they are everywhere. */
export async function kubernetesCluster(
  t: Pick<TestContext, 'after'>,
  apiserver: string,
  webhook?: AuditWebhook,
): Promise<KubernetesCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-kubernetes-'))
  const children: ChildProcess[] = []
  t.after(async () => {
    for (const child of children.toReversed()) {
      if (child.exitCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    }
    rmSync(folder, { recursive: true, force: true })
  })
  const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()]
  const etcd = `http://127.0.0.1:${etcdPort}`
  const peer = `http://127.0.0.1:${peerPort}`
  children.push(
    run('etcd', [
      '--name=one',
      `--data-dir=${join(folder, 'etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=one=${peer}`,
    ]),
  )
  const adminToken = randomBytes(24).toString('hex')
  const at = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = at('accounts.key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString())
  const tokens = at('tokens.csv', `${adminToken},admin,admin-uid,"system:masters"\n`)
  const policy = at(
    'policy.json',
    JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [{ level: 'Metadata' }] }),
  )
  const auditLog = join(folder, 'audit.log')
  children.push(
    run(apiserver, [
      `--etcd-servers=${etcd}`,
      `--secure-port=${port}`,
      '--bind-address=127.0.0.1',
      `--cert-dir=${join(folder, 'pki')}`,
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.0.0.0/24',
      '--authorization-mode=RBAC',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${key}`,
      `--service-account-signing-key-file=${key}`,
      `--token-auth-file=${tokens}`,
      `--audit-policy-file=${policy}`,
      `--audit-log-path=${auditLog}`,
      '--audit-log-mode=blocking-strict',
      ...(webhook
        ? [
            `--audit-webhook-config-file=${at('webhook.json', kubeconfigOf(webhook))}`,
            '--audit-webhook-batch-max-wait=1s',
          ]
        : []),
    ]),
  )
  const url = `https://127.0.0.1:${port}`
  const certificate = join(folder, 'pki', 'apiserver.crt')
  await untilReady(url, () => readFileSync(certificate, 'utf8'), adminToken)
  const authorities = readFileSync(certificate, 'utf8')
  const api: KubernetesCluster['api'] = async (method, path, body) => {
    const { status, text } = await ask(url, { method, path, body, token: adminToken, ca: authorities })
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`)
    return JSON.parse(text) as Record<string, unknown>
  }
  return {
    url,
    authorities,
    adminToken,
    auditLog,
    api,
    apply: async (path, thing) => void (await api('POST', path, thing)),
  }
}

function run(program: string, args: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: process.env['REEVE_TEST_PEER_OUTPUT'] === undefined ? 'ignore' : 'inherit' })
}

type Asked = {
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly token: string
  readonly ca: string
}

export function ask(url: string, { method, path, body, token, ca }: Asked): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const sent = request(new URL(path, url), { method, headers, ca, agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => (text += chunk))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** Also the roles that every cluster has are there then (`poststarthook/rbac/bootstrap-roles`). */
async function untilReady(url: string, ca: () => string, token: string): Promise<void> {
  const until = Date.now() + START_MS
  for (;;) {
    try {
      const { status } = await ask(url, { method: 'GET', path: '/readyz', token, ca: ca() })
      if (status === 200) return
    } catch {
      // Not there yet.
    }
    if (Date.now() > until) throw new Error('the API server did not become ready')
    await new Promise((resolve) => {
      setTimeout(resolve, 200)
    })
  }
}
