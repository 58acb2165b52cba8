import type { Config } from '../kernel/config.ts'
import { openGrpc, type GrpcServer } from '../kernel/grpc/server.ts'
import type { TlsMaterial } from '../kernel/http/listener.ts'
import type { Log } from '../kernel/log.ts'
import type { Metrics } from '../kernel/metrics.ts'
import type { Stop } from '../kernel/stop.ts'
import { evaluateDecision } from '../policy/contract.ts'
import { holdRight, meshMethods, questionResource } from '../policy/policy.ts'
import type { Domains } from './domains.ts'
import type { Ground } from './ground.ts'

export type MeshParts = {
  readonly config: Config
  readonly ground: Ground
  readonly domains: Domains
  readonly metrics: Metrics
  readonly log: Log
  readonly stop: Stop
  readonly tls: TlsMaterial
}

/** A proxy sends headers, not bodies; 64 KB is what it takes of a client's head. */
const LIMITS = { messageBytes: 131_072, calls: 4_096, streamsPerConnection: 1_024, connections: 256 }

/** Opens the door for proxies, where one is named. */
export async function openMesh(parts: MeshParts): Promise<GrpcServer | undefined> {
  const { config, ground, domains, metrics, log, stop, tls } = parts
  const { enforcementPoint, principals, routes, host, port, plaintext, timeoutMs } = config.mesh
  if (enforcementPoint === undefined || !config.node.roles.includes('gateway')) return undefined
  const { decided, api, view } = domains
  const answers = metrics.counter('reeve_mesh_checks_total', 'Requests that proxies asked about, by what came of it.', [
    'outcome',
  ])
  const right = holdRight({
    clock: ground.clock,
    view,
    epoch: () => decided.engine.current().set.sha256,
    decide: async (caller, question) => api.decide(caller, evaluateDecision.id, question, {}),
  })
  const methods = meshMethods({
    ...decided,
    enforcementPoint,
    principals,
    routes,
    authenticate: async ({ bearer, certificate }) =>
      api.authenticate({ bearer, certificate, keyCertificate: certificate, dpop: undefined, clientAddress: '' }),
    mayAsk: (caller, question) => right(caller, questionResource(decided, caller, [question])),
    onAnswer: (outcome) => answers.inc({ outcome }),
  })
  const server = await openGrpc({
    listen: { host, port },
    tls: plaintext ? 'plaintext' : tls,
    methods,
    limits: { ...LIMITS, callMs: timeoutMs },
    clock: ground.clock,
    log,
  })
  stop.add('mesh', server, 10_000)
  log.info({ port: server.port }, 'proxies ask here')
  return server
}
