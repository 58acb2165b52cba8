import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { webcrypto } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Cluster } from '../../test/support/cluster.ts'
import { freePort } from '../../test/support/free-port.ts'
import type { Door } from '../support/load/messages.ts'
import type { ReeveReady } from './reeve.ts'
import { requestOf } from './requests.ts'

export type OpenBao = AsyncDisposable & {
  readonly door: Omit<Door, 'requests'>
  readonly requests: Readonly<Record<'service' | 'batch' | 'sign' | 'login', string>>
}

const UP_WITHIN_MS = 60_000

/** As it would stand in production: raft on a disk, TLS, a file of audit; with engines for certificates and for logins of the cluster. */
export async function startOpenBao(
  program: string,
  folder: string,
  { door: { ca }, cert, key }: ReeveReady['ready'],
  cluster: Cluster,
): Promise<OpenBao> {
  const home = join(folder, 'bao')
  mkdirSync(join(home, 'raft'), { recursive: true })
  writeFileSync(join(home, 'cert.pem'), cert)
  writeFileSync(join(home, 'key.pem'), key, { mode: 0o600 })
  const [port, peers] = [await freePort(), await freePort()]
  writeFileSync(join(home, 'server.hcl'), settings(home, port, peers))
  const child = spawn(program, ['server', `-config=${join(home, 'server.hcl')}`], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], HOME: home },
  })
  const stop = async () => {
    if (child.exitCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  try {
    let token = ''
    const api: Api = (method, path, body) => call({ port, ca, token }, method, path, body)
    token = await unsealed(api)
    await furnish(api, cluster)
    return { door: { port, ca }, requests: await requestsOf(token), [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

type Api = (method: string, path: string, body?: object) => Promise<Record<string, unknown>>

function settings(home: string, port: number, peers: number): string {
  return `
storage "raft" {
  path = "${join(home, 'raft')}"
  node_id = "one"
}
listener "tcp" {
  address = "127.0.0.1:${port}"
  cluster_address = "127.0.0.1:${peers}"
  tls_cert_file = "${join(home, 'cert.pem')}"
  tls_key_file = "${join(home, 'key.pem')}"
}
api_addr = "https://localhost:${port}"
cluster_addr = "https://localhost:${peers}"
disable_mlock = true
log_level = "error"
audit "file" "log" {
  options { file_path = "${join(home, 'audit.log')}" }
}
`
}

/** The token of its root, once it is initialised, unsealed and leads itself. */
async function unsealed(api: Api): Promise<string> {
  const until = performance.now() + UP_WITHIN_MS
  const again = async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (performance.now() > until) throw error
        await pause(200)
      }
    }
  }
  const made = await again(() => api('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 }))
  const [key] = made['keys_base64'] as string[]
  await again(() => api('PUT', 'sys/unseal', { key }))
  await again(async () => {
    const { is_self } = await api('GET', 'sys/leader')
    if (is_self !== true) throw new Error('OpenBao does not lead yet')
  })
  return String(made['root_token'])
}

async function furnish(api: Api, { host, port, password }: Cluster): Promise<void> {
  await api('POST', 'sys/mounts/pki', { type: 'pki', config: { max_lease_ttl: '720h' } })
  await api('POST', 'pki/root/generate/internal', { common_name: 'bench', key_type: 'ec', key_bits: 256, ttl: '720h' })
  await api('POST', 'pki/roles/job', {
    allow_any_name: true,
    enforce_hostnames: false,
    key_type: 'ec',
    key_bits: 256,
    max_ttl: '1h',
  })
  await api('POST', 'sys/mounts/database', { type: 'database' })
  await api('POST', 'database/config/shop', {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: ['reader'],
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/postgres?sslmode=disable`,
    username: 'postgres',
    password: password.reveal(),
    max_open_connections: 16,
    max_idle_connections: 16,
  })
  await api('POST', 'database/roles/reader', {
    db_name: 'shop',
    creation_statements: [`create role "{{name}}" login password '{{password}}' valid until '{{expiration}}'`],
    default_ttl: '30m',
    max_ttl: '1h',
  })
}

async function requestsOf(token: string): Promise<OpenBao['requests']> {
  const headers = { 'x-vault-token': token, 'x-vault-request': 'true', 'content-type': 'application/json' }
  const post = (path: string, body: object) => requestOf('POST', `/v1/${path}`, headers, JSON.stringify(body))
  const short = { policies: ['default'], ttl: '15m' }
  return {
    service: post('auth/token/create', short),
    batch: post('auth/token/create', { ...short, type: 'batch' }),
    sign: post('pki/sign/job', { csr: await signingRequest(), common_name: 'job', ttl: '1h' }),
    login: requestOf('GET', '/v1/database/creds/reader', headers),
  }
}

/** PKCS #10, of a P-256 key. */
async function signingRequest(): Promise<string> {
  await import('reflect-metadata')
  const { Pkcs10CertificateRequestGenerator } = await import('@peculiar/x509')
  const signingAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify'])
  const made = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=job', keys, signingAlgorithm }, webcrypto)
  return made.toString('pem')
}

type To = { readonly port: number; readonly ca: string; readonly token: string }

function call({ port, ca, token }: To, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = { 'x-vault-request': 'true', ...(token && { 'x-vault-token': token }) }
    const sent = request({ host: '127.0.0.1', servername: 'localhost', port, ca, method, path: `/v1/${path}`, headers })
    sent.on('error', reject)
    sent.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const isFine = response.statusCode !== undefined && response.statusCode < 300
        if (!isFine) reject(new Error(`${path}: ${response.statusCode} ${text}`))
        else resolve(text === '' ? {} : JSON.parse(text))
      })
    })
    sent.end(body && JSON.stringify(body))
  })
}
