import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { operations } from '../contracts.ts'
import { processEnvironment } from '../kernel/environment.ts'
import { openAuthority, type Authority } from '../kernel/ca.ts'
import { systemClock } from '../kernel/clock.ts'
import { INSTALLATION_PATH } from '../kernel/installation.ts'
import { systemRandom } from '../kernel/random.ts'
import type { Io } from './io.ts'
import { runCli } from './main.ts'
import type { Parts } from './parts.ts'

type Context = Pick<TestContext, 'after'>

export type Asked = {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
  /** SHA-256 fingerprint of the client certificate, where one was shown. */
  readonly certificate: string | undefined
}
/** Status and body, or `cut`: the connection is reset after the request was read. */
export type Reply = { readonly status: number; readonly body?: unknown } | 'cut'

export type FakeApi = {
  readonly url: string
  readonly authority: Authority
  readonly asked: Asked[]
  /** What each further request gets. */
  answer: (asked: Asked) => Reply | Promise<Reply>
}

export async function folderOf(t: Context): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-cli-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** An HTTPS server with a certificate from a CA of its own, which says so at /v1/installation. */
export async function fakeApi(t: Context, gatewayPort = 5): Promise<FakeApi> {
  const authority = await openAuthority(join(await folderOf(t), 'ca'), { clock: systemClock, random: systemRandom })
  const { key, cert } = await authority.issueServer(['127.0.0.1', 'localhost'])
  const api: { -readonly [Key in keyof FakeApi]: FakeApi[Key] } = {
    url: '',
    authority,
    asked: [],
    answer: () => ({ status: 404, body: {} }),
  }
  const options = { key: key.reveal(), cert, ca: authority.certificate, requestCert: true, rejectUnauthorized: false }
  const server = createServer(options, (request, response) => {
    void respond(api, gatewayPort, request, response)
  })
  api.url = `https://127.0.0.1:${await listen(t, server)}`
  return api
}

async function listen(t: Context, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

async function respond(api: FakeApi, gatewayPort: number, request: IncomingMessage, response: ServerResponse) {
  const chunks = await Array.fromAsync(request as AsyncIterable<Buffer>)
  const text = Buffer.concat(chunks).toString('utf8')
  const path = request.url ?? ''
  if (path === INSTALLATION_PATH) {
    const gateways = [{ protocol: 'postgres', host: null, port: gatewayPort }]
    response.end(JSON.stringify({ version: '9.9.9', authority: api.authority.certificate, gateways }))
    return
  }
  const { socket } = request
  const isProven = socket instanceof TLSSocket && socket.authorized
  const asked: Asked = {
    method: request.method ?? '',
    path,
    headers: request.headers,
    body: text === '' ? undefined : JSON.parse(text),
    certificate: isProven ? socket.getPeerCertificate().fingerprint256 : undefined,
  }
  api.asked.push(asked)
  const reply = await api.answer(asked)
  if (reply === 'cut') {
    socket.destroy()
    return
  }
  response.writeHead(reply.status, { 'content-type': 'application/json' })
  response.end(reply.body === undefined ? '' : JSON.stringify(reply.body))
}

type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string }

export type Cli = {
  readonly env: Record<string, string | undefined>
  readonly folder: string
  /** Sees what is written to standard error as it is written. */
  onStderr: (text: string) => void
  run(...args: string[]): Promise<Ran>
  /** The same with text on standard input. */
  runWith(stdin: string, ...args: string[]): Promise<Ran>
}

/** A user with a home folder of their own. */
export async function cliFor(t: Context, env: Record<string, string> = {}, parts: Partial<Parts> = {}): Promise<Cli> {
  const folder = await folderOf(t)
  const whole = { REEVE_CONTEXTS: join(folder, 'contexts'), PATH: processEnvironment()['PATH'], HOME: folder, ...env }
  const runWith = async (stdin: string, ...args: string[]) => {
    const written = { stdout: '', stderr: '' }
    const io: Io = {
      stdout: { write: (piece) => (written.stdout += textOf(piece)) },
      stderr: {
        write: (piece) => {
          written.stderr += textOf(piece)
          cli.onStderr(textOf(piece))
        },
      },
      readStdin: async () => stdin,
      env: whole,
      workingFolder: folder,
    }
    const code = await runCli(args, io, { ...PARTS, ...parts })
    return { code, ...written }
  }
  const cli: Cli = {
    env: whole,
    folder,
    onStderr: () => undefined,
    run: (...args) => runWith('', ...args),
    runWith,
  }
  return cli
}

const PARTS: Parts = {
  version: '1.2.3',
  operations: async () => operations,
  start: async () => undefined,
  migrate: async () => [],
  rewrap: async () => [],
  config: async () => ({}),
  policy: async () => ({ isGood: true, lines: [], data: null }),
  policyTexts: async () => [],
  scan: async () => 0 as const,
  agent: async () => undefined,
  verify: async () => 2,
}

/** What `Identity` looks like on the wire. */
export function identityNamed(name: string): Record<string, unknown> {
  return {
    id: '01890000-0000-7000-8000-000000000001',
    kind: 'human',
    name,
    displayName: null,
    profile: 'person',
    purpose: null,
    businessService: null,
    environment: 'production',
    tier: 2,
    tierSet: 2,
    tierReached: null,
    traits: [],
    ownerTeam: null,
    ownerId: null,
    ownerState: 'none',
    ownerEvidence: null,
    ownerProposedBy: null,
    sponsorId: null,
    vendor: null,
    state: 'active',
    isFounder: true,
    reviewBy: null,
    expiresAt: null,
    createdAt: '2026-01-02T03:04:05.000Z',
    version: 1,
  }
}

/** A problem as the API sends it. */
export function problemReply(status: number, slug: string, detail: string, facts: Record<string, unknown> = {}): Reply {
  return { status, body: { type: `/v1/problems/${slug}`, title: slug, status, detail, requestId: 'r-1', facts } }
}

function textOf(piece: string | Uint8Array): string {
  return typeof piece === 'string' ? piece : Buffer.from(piece).toString('utf8')
}
