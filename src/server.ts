/**
 * The composition root: what there is, wired by hand, started in order and stopped the other way round. Nothing else imports it but the
 * executable, tests and measurements.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deferral, operations } from './contracts.ts'
import { ensureFounderEnrolment } from './identities/identities.ts'
import type { Config } from './kernel/config.ts'
import { openAuthority, keepServerCertificate, type Authority } from './kernel/ca.ts'
import { openHealth, type Health } from './kernel/health.ts'
import { openApi, type ApiServer } from './kernel/http/server.ts'
import { openIdempotency } from './kernel/http/idempotency.ts'
import { apiDocuments } from './kernel/http/openapi.ts'
import { spkiSha256 } from './kernel/key-pair.ts'
import { INSTALLATION_PATH, type Installation } from './kernel/installation.ts'
import type { Log } from './kernel/log.ts'
import { openMetrics, type Metrics } from './kernel/metrics.ts'
import { systemRandom } from './kernel/random.ts'
import { Secret } from './kernel/secret.ts'
import { openStop, type Stop } from './kernel/stop.ts'
import { METADATA_PATH, metadataOf } from './policy/policy.ts'
import { openDomains, type Domains } from './server/domains.ts'
import { openDoors } from './server/doors.ts'
import { openGround, type Ground } from './server/ground.ts'
import { openMesh } from './server/mesh.ts'
import { startWork } from './server/work.ts'
import { holdOperation } from './tokens/tokens.ts'
import { VERSION } from './version.ts'

/** A node that serves. Disposing it stops everything in order. */
export type RunningServer = AsyncDisposable & {
  readonly api: { readonly port: number; readonly url: string }
  readonly gateways: readonly { readonly protocol: string; readonly host: string; readonly port: number }[]
  /** Of the door for proxies; 0 where it is shut. */
  readonly meshPort: number
  readonly authority: Authority
  /** At the first start: the link that makes the founder. */
  readonly founderLink: string | undefined
  readonly health: Health
  /** For tests and measurements of one process. */
  readonly ground: Ground
  readonly domains: Domains
}

/** Starts a node. What had started is stopped again when something after it does not. */
export async function startServer(config: Config, log: Log, stop: Stop = openStop(log)): Promise<RunningServer> {
  try {
    return await start(config, log, stop)
  } catch (error) {
    await stop.now('it could not start')
    throw error
  }
}

async function start(config: Config, log: Log, stop: Stop): Promise<RunningServer> {
  const health = openHealth()
  const metrics = openMetrics()
  stop.onBegin(() => health.startDraining())
  const ground = await openGround(config, log, stop.signal)
  stop.add('database', ground, 15_000)
  health.add('clock', () => ground.clock.isNear())
  const { clock, keys } = ground
  const authority = await openAuthority(join(config.home, 'ca'), { clock, keys, random: systemRandom })
  const domains = await openDomains({ config, ground, log, metrics, stop, authority, version: VERSION })
  health.add('rules', () => domains.rules.isLoaded())
  health.add('ends', () => domains.ends.isHealthy())
  health.add('node', () => domains.node.silenceMs() < NODE_SILENT_MS)
  if (config.node.roles.includes('worker')) stop.add('work', await startWork({ ...ground, log, ...domains.work }))
  const certificate = await certificateOf({ config, authority, ground, log }, (renewed) => {
    tls.current = renewed
    api?.renewTls({ ...renewed, clientCa: authority.certificate })
    mesh?.renewTls({ ...renewed, clientCa: authority.certificate })
  })
  stop.add('certificate', certificate)
  const tls = { current: certificate.first }
  let api: ApiServer | undefined
  const mesh = await openMesh({
    config,
    ground,
    domains,
    metrics,
    log,
    stop,
    tls: { ...tls.current, clientCa: authority.certificate },
  })
  const gateways = config.node.roles.includes('gateway')
    ? await openDoors({ config, domains, stop, tls: () => ({ ...tls.current, clientCa: authority.certificate }) })
    : []
  if (config.node.roles.includes('control')) {
    const document: unknown = JSON.parse(await readFile(OPENAPI, 'utf8'))
    const parts = { config, ground, domains, authority, health, metrics, log, tls: tls.current, gateways, document }
    api = await openApi(apiOptions(parts))
    stop.add('api', api, 30_000)
    domains.tokens.reachedAt(api.port)
  }
  const link = await founderLink(ground, domains, authority, api)
  return {
    api: { port: api?.port ?? 0, url: api?.url ?? '' },
    gateways,
    meshPort: mesh?.port ?? 0,
    authority,
    founderLink: link,
    health,
    ground,
    domains,
    async [Symbol.asyncDispose]() {
      await stop.now('asked to')
    },
  }
}

type Presented = { readonly key: Secret; readonly cert: string }

/** The certificate that was configured, else one of our own authority's that is renewed in time. */
async function certificateOf(
  { config, authority, ground, log }: Pick<ApiParts, 'config' | 'authority' | 'ground' | 'log'>,
  onRenewed: (certificate: Presented) => void,
): Promise<Disposable & { readonly first: Presented }> {
  const { certFile, keyFile } = config.tls
  if (!certFile || !keyFile) {
    const terms = { names: namesOf(config), clock: ground.clock }
    return keepServerCertificate(authority, terms, onRenewed, (error) =>
      log.warn({ err: error }, 'the certificate of the listeners could not be renewed; it is tried again in an hour'),
    )
  }
  const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
  return { first: { cert, key: new Secret(key) }, [Symbol.dispose]: () => undefined }
}

/** Generated from the operations, to which a test holds it: making it takes longer than all the rest of a start. */
const OPENAPI = join(import.meta.dirname, '..', 'docs', 'reference', 'openapi.json')

/** Two heartbeats and a half. */
const NODE_SILENT_MS = 7_500

type ApiParts = {
  readonly config: Config
  readonly ground: Ground
  readonly domains: Domains
  readonly authority: Authority
  readonly health: Health
  readonly metrics: Metrics
  readonly log: Log
  readonly tls: { readonly key: Secret; readonly cert: string }
  readonly gateways: readonly { readonly protocol: string; readonly host: string; readonly port: number }[]
  readonly document: unknown
}

function apiOptions(parts: ApiParts): Parameters<typeof openApi>[0] {
  const { config, ground, domains, authority, health, metrics, log, tls, gateways, document } = parts
  const installation: Installation = {
    version: VERSION,
    authority: config.api.plaintext ? null : authority.certificate,
    gateways: gateways.map(({ protocol, port }) => ({ protocol, host: null, port })),
  }
  return {
    host: config.api.host,
    port: config.api.port,
    tls: config.api.plaintext ? 'plaintext' : { ...tls, clientCa: authority.certificate },
    names: namesOf(config),
    ...domains.api,
    documents: {
      ...apiDocuments(document, operations, deferral),
      [INSTALLATION_PATH]: installation,
    },
    wellKnown: { [METADATA_PATH]: (origin) => metadataOf(origin, config.authzen), ...domains.tokens.documents },
    forms: [...domains.tokens.forms, ...domains.login.forms],
    doors: domains.lifecycle.doors(domains.api),
    pages: domains.login.pages,
    challenge: domains.tokens.challenge,
    hold: holdOperation,
    idempotency: openIdempotency(ground.db, ground),
    clock: ground.clock,
    random: systemRandom,
    log,
    health,
    metrics,
    limits: {
      bodyBytes: config.limits.bodyBytes,
      rate: { perSecond: config.limits.requestsPerSecond, burst: config.limits.requestBurst },
    },
  }
}

/** Under which names clients reach this node. */
function namesOf(config: Config): string[] {
  const wild = new Set(['0.0.0.0', '::'])
  const hosts = [config.api.host, config.gateways.postgres.host].filter((host) => !wild.has(host))
  return [...new Set(['localhost', ...hosts, '127.0.0.1', '::1', ...config.tls.names])]
}

async function founderLink(
  ground: Ground,
  domains: Domains,
  authority: Authority,
  api: ApiServer | undefined,
): Promise<string | undefined> {
  if (!api) return undefined
  const made = await ensureFounderEnrolment(ground.db, domains.identities)
  if (!made) return undefined
  return `${api.url}/#enrol=${made.secret.reveal()}&ca=${spkiSha256(authority.certificate)}`
}
