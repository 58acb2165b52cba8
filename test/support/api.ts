import { request as httpsRequest } from 'node:https'
import type { IncomingHttpHeaders } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openAuthority } from '../../src/kernel/ca.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { transact, type Db } from '../../src/kernel/db.ts'
import { openHealth } from '../../src/kernel/health.ts'
import { openIdempotency } from '../../src/kernel/http/idempotency.ts'
import { openApi, type ApiOptions, type ApiServer } from '../../src/kernel/http/server.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { openMetrics } from '../../src/kernel/metrics.ts'
import { newId, systemRandom } from '../../src/kernel/random.ts'
import { sealUnder } from '../../src/kernel/seal.ts'
import { Secret } from '../../src/kernel/secret.ts'

/** `json` is as loose as JSON is: the test says what it expects of it. */
export type Answered = {
  status: number
  headers: IncomingHttpHeaders
  text: string
  bytes: Buffer // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into answers of every shape
  json: () => any
}

export type ApiWorld = {
  readonly server: ApiServer
  readonly ca: string
  call(
    method: string,
    path: string,
    options?: { headers?: Record<string, string | string[]>; body?: string | Buffer; key?: string; cert?: string },
  ): Promise<Answered>
}

/** A real HTTPS listener with the installation's own certificate; only who calls and what is permitted are given. */
export async function startApi(
  t: Pick<TestContext, 'after'>,
  db: Db,
  given: Pick<ApiOptions, 'authenticate' | 'decide' | 'routes'> & Partial<ApiOptions>,
): Promise<ApiWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-api-'))
  const authority = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const own = await authority.issueServer(['localhost', '127.0.0.1'])
  const server = await openApi({
    host: '127.0.0.1',
    port: 0,
    tls: { key: own.key, cert: own.cert, clientCa: authority.certificate },
    names: [],
    openRoutes: [],
    documents: {},
    idempotency: openIdempotency(db, { clock: systemClock, seal: sealUnder(new Secret(Buffer.alloc(32, 7))) }),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    health: openHealth(),
    metrics: openMetrics({ withProcess: false }),
    limits: { bodyBytes: 20_000, rate: { perSecond: 1000, burst: 10_000 } },
    ...given,
  })
  t.after(async () => {
    await server[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
  return {
    server,
    ca: authority.certificate,
    call: (method, path, options = {}) =>
      new Promise((resolve, reject) => {
        const { headers, body, ...tls } = options
        const request = httpsRequest(
          {
            host: '127.0.0.1',
            servername: 'localhost',
            port: server.port,
            method,
            path,
            headers,
            ca: authority.certificate,
            agent: false,
            ...tls,
          },
          (response) => {
            const chunks: Buffer[] = []
            response.on('data', (chunk: Buffer) => chunks.push(chunk))
            response.on('error', reject)
            response.on('end', () => {
              const bytes = Buffer.concat(chunks)
              const text = bytes.toString('utf8')
              resolve({
                bytes,
                status: response.statusCode ?? 0,
                headers: response.headers,
                text,
                json: () => JSON.parse(text),
              })
            })
          },
        )
        request.on('error', reject)
        request.end(body)
      }),
  }
}

/** An identity of the shared record, for tables that name one. */
export function anIdentity(db: Db, name: string): Promise<string> {
  const id = newId(systemClock, systemRandom)
  return transact(db, async (tx) => {
    const at = new Date()
    const { id: cause } = await tx
      .insertInto('ledgerEntry')
      .values({ xid: '0', at, kind: 'test.made', leaf: Buffer.from('{}') })
      .returning('id')
      .executeTakeFirstOrThrow()
    await tx
      .insertInto('identity')
      .values({
        id,
        kind: 'human',
        name,
        profile: 'person',
        environment: 'test',
        tier: 3,
        state: 'active',
        createdAt: at,
        cause,
      })
      .execute()
    return id
  })
}
