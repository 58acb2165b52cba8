import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { secondsAfter, systemClock } from '../../kernel/clock.ts'

type StubCall = {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}
type StubAnswer = { readonly status: number; readonly type?: string; readonly body?: string }

/** A stub of a target's API on loopback: what a test says is what it answers. The real ones are in test/interop/. */
export type Stub = {
  readonly url: string
  readonly calls: StubCall[]
  answer: (call: StubCall) => StubAnswer | Promise<StubAnswer>
}

export async function openStub(cleaning: { after(work: () => unknown): void }): Promise<Stub> {
  const stub: { -readonly [Key in keyof Stub]: Stub[Key] } = {
    url: '',
    calls: [],
    answer: () => ({ status: 404 }),
  }
  const server = createServer((request, response) => void respond(stub, request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleaning.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  stub.url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  return stub
}

async function respond(stub: Stub, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks = await Array.fromAsync(request as AsyncIterable<Buffer>)
  const call = {
    method: request.method ?? '',
    path: request.url ?? '',
    headers: request.headers,
    body: Buffer.concat(chunks).toString('utf8'),
  }
  stub.calls.push(call)
  const { status, type = 'application/json', body = '' } = await stub.answer(call)
  response.writeHead(status, { 'content-type': type })
  response.end(body)
}

/** The part of a Kubernetes API that tokens need: Secrets, TokenRequest, TokenReview. A token is good while its Secret is there. */
export type StubCluster = {
  readonly secrets: Map<string, string>
  readonly tokens: Map<string, string>
  /** Runs before a token is made. */
  beforeToken: () => void | Promise<void>
  isDown: boolean
  /** Gives tokens that are bound to nothing. */
  ignoresBinding: boolean
  /** How far its clock is ahead of ours. */
  aheadSeconds: number
}

export function clusterIn(stub: Stub): StubCluster {
  const cluster: StubCluster = {
    secrets: new Map(),
    tokens: new Map(),
    beforeToken: () => undefined,
    isDown: false,
    ignoresBinding: false,
    aheadSeconds: 0,
  }
  let count = 0
  const json = (status: number, body: unknown): StubAnswer => ({ status, body: JSON.stringify(body) })
  stub.answer = async ({ method, path, body, headers }) => {
    if (cluster.isDown) return { status: 503 }
    if (headers.authorization !== 'Bearer provisioner-token') return { status: 401 }
    const asked = body === '' ? {} : JSON.parse(body)
    count += 1
    if (path.endsWith('/secrets') && method === 'POST') {
      const { name } = asked.metadata
      if (cluster.secrets.has(name)) return { status: 409 }
      cluster.secrets.set(name, `uid-${count}`)
      return json(201, { metadata: { name, uid: `uid-${count}` } })
    }
    if (path.includes('/secrets/')) {
      const name = path.split('/').at(-1) ?? ''
      const uid = cluster.secrets.get(name)
      if (uid === undefined) return { status: 404 }
      if (method === 'DELETE') cluster.secrets.delete(name)
      return json(200, { metadata: { name, uid } })
    }
    if (path.endsWith('/token')) {
      await cluster.beforeToken()
      const { uid, name } = asked.spec.boundObjectRef
      if (cluster.secrets.get(name) !== uid) return { status: 409 }
      const claims = cluster.ignoresBinding ? {} : { 'kubernetes.io': { secret: { name, uid } } }
      const token = `h.${Buffer.from(JSON.stringify({ ...claims, n: count })).toString('base64url')}.s`
      cluster.tokens.set(token, uid)
      const until = secondsAfter(systemClock.now(), asked.spec.expirationSeconds + cluster.aheadSeconds)
      const expirationTimestamp = until.toISOString()
      return json(201, { status: { token, expirationTimestamp } })
    }
    if (path.endsWith('/tokenreviews')) {
      const uid = cluster.tokens.get(asked.spec.token)
      return json(201, { status: { authenticated: uid !== undefined && [...cluster.secrets.values()].includes(uid) } })
    }
    return { status: 404 }
  }
  return cluster
}

/** The part of OpenBao that dynamic secrets need. What a token read lives while the token does. */
export type StubVault = { readonly tokens: Map<string, string>; readonly leases: Map<string, string> }

export function vaultIn(stub: Stub): StubVault {
  const vault: StubVault = { tokens: new Map(), leases: new Map() }
  let count = 0
  const json = (status: number, body: unknown): StubAnswer => ({ status, body: JSON.stringify(body) })
  const forget = (accessor: string) => {
    vault.tokens.delete(accessor)
    for (const [lease, owner] of vault.leases) if (owner === accessor) vault.leases.delete(lease)
  }
  stub.answer = ({ path, body, headers }) => {
    const asked = body === '' ? {} : JSON.parse(body)
    count += 1
    const token = String(headers['x-vault-token'])
    if (path === '/v1/database/creds/reader') {
      const accessor = [...vault.tokens].find(([, value]) => value === token)?.[0]
      if (accessor === undefined) return json(403, { errors: ['permission denied'] })
      vault.leases.set(`database/creds/reader/${count}`, accessor)
      const data = { username: `v-${count}`, password: `p-${count}` }
      return json(200, { lease_id: `database/creds/reader/${count}`, lease_duration: 600, data })
    }
    if (token !== 'provisioner-token') return json(403, { errors: ['permission denied'] })
    if (path === '/v1/auth/token/create') {
      vault.tokens.set(`a-${count}`, `t-${count}`)
      return json(200, { auth: { client_token: `t-${count}`, accessor: `a-${count}` } })
    }
    if (path === '/v1/auth/token/revoke-accessor') {
      if (!vault.tokens.has(asked.accessor)) return json(400, { errors: ['invalid accessor'] })
      forget(asked.accessor)
      return { status: 204 }
    }
    if (path === '/v1/auth/token/lookup-accessor') {
      return vault.tokens.has(asked.accessor) ? json(200, {}) : json(403, { errors: ['invalid accessor'] })
    }
    if (path === '/v1/sys/leases/revoke') {
      vault.leases.delete(asked.lease_id)
      return { status: 204 }
    }
    if (path === '/v1/sys/leases/lookup') {
      return vault.leases.has(asked.lease_id) ? json(200, {}) : json(400, { errors: ['invalid lease'] })
    }
    return json(404, { errors: [] })
  }
  return vault
}
