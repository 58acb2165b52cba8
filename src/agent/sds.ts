/**
 * Secrets for Envoy: its Secret Discovery Service, v3, on the same socket. `default` is the certificate of the process that asks, a SPIFFE ID is that
 * one of its certificates, `ROOTCA` is what verifies our trust domain, and `spiffe://<domain>` what verifies that domain.
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol, envoy/service/secret/v3/sds.proto
 */
import { secondsAfter, type Clock } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import { GRPC, GrpcError, type GrpcCall, type GrpcMethod, type LaterMessages } from '../kernel/grpc/call.ts'
import { bytesOf, field, NotProtobuf, readFields, textOf } from '../kernel/grpc/protobuf.ts'
import { authoritiesPem } from '../kernel/spiffe-bundle.ts'
import { bundlesOf } from './bundles.ts'
import type { Caller } from './caller.ts'
import { heldOf, peerOf, placementsOf } from './workload-api.ts'
import type { HeldX509, Workloads } from './workloads.ts'

type Needs = { readonly workloads: Workloads; readonly clock: Clock }

const PATH = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets'
const SECRET_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'
const OWN = 'default'
const OWN_BUNDLE = 'ROOTCA'
const MOST_NAMES = 50
const LOOK_SECONDS = 15

export function secretDiscovery(needs: Needs): ReadonlyMap<string, GrpcMethod> {
  return new Map([
    [PATH, { kind: 'duplex', run: (call, later) => discovered(needs, call, later) } satisfies GrpcMethod],
  ])
}

type Asked = { readonly names: readonly string[]; readonly nonce: string; readonly refused: string | undefined }

async function* discovered(needs: Needs, call: GrpcCall, later: LaterMessages): AsyncIterable<Buffer> {
  const caller = peerOf(call.peer)
  using _counted = caller.beginCall()
  let names = readAsked(call.message).names
  let wake: (() => void) | undefined
  later.listen((message) => {
    const asked = readAsked(message)
    // An answer to what was sent names the same again; whoever names others asks anew (xDS: "resource hints").
    if (asked.refused === undefined && asked.names.join('\n') !== names.join('\n')) {
      names = asked.names
      wake?.()
    }
  })
  let last = ''
  while (!call.signal.aborted) {
    const { turn } = needs.workloads
    const asked = names
    const woken = new AbortController()
    wake = () => woken.abort()
    const { secrets, again } = await secretsOf(needs, caller, asked)
    const version = sha256(Buffer.concat(secrets)).toString('hex').slice(0, 16)
    const told = `${version} ${asked.join('\n')}`
    if (told !== last) yield responseOf(secrets, version)
    last = told
    if (asked !== names) continue
    await needs.workloads.changedSince(turn, again, AbortSignal.any([call.signal, woken.signal]))
  }
}

async function secretsOf(needs: Needs, caller: Caller, names: readonly string[]) {
  const { workloads } = needs
  const placements = await placementsOf(needs, caller)
  const known = bundlesOf(workloads.state)
  const secrets: Buffer[] = []
  const shown: HeldX509[] = []
  for (const name of names) {
    const domain = name === OWN_BUNDLE ? workloads.state.trustDomain : /^spiffe:\/\/([^/]+)$/.exec(name)?.[1]
    if (domain !== undefined) {
      const bundle = known.get(domain)
      // One that is not believed is not told of: Envoy waits, and lets nobody in meanwhile.
      if (bundle) secrets.push(secretOf(name, field(4, field(1, sourceOf(authoritiesPem(bundle))))))
      continue
    }
    const wanted = placements.filter(({ spiffeId }) => name === OWN || spiffeId === name).slice(0, 1)
    if (wanted.length === 0) throw new GrpcError(GRPC.permissionDenied, 'this process is not that identity')
    const [held] = await heldOf(needs, wanted)
    if (!held) continue
    shown.push(held)
    const pair = Buffer.concat([field(1, sourceOf(held.certificate)), field(2, sourceOf(held.privateKey.reveal()))])
    secrets.push(secretOf(name, field(2, pair)))
  }
  const soon = secondsAfter(needs.clock.now(), LOOK_SECONDS)
  const renewal = workloads.lookAgainAt(shown)
  return { secrets, again: renewal < soon ? renewal : soon }
}

/** envoy.extensions.transport_sockets.tls.v3.Secret, in the google.protobuf.Any of a resource. */
function secretOf(name: string, body: Buffer): Buffer {
  return Buffer.concat([field(1, SECRET_TYPE), field(2, Buffer.concat([field(1, name), body]))])
}

/** envoy.config.core.v3.DataSource with `inline_bytes`. */
function sourceOf(pem: string): Buffer {
  return field(2, Buffer.from(pem))
}

/** envoy.service.discovery.v3.DiscoveryResponse: version_info=1, resources=2, type_url=4, nonce=5. */
function responseOf(secrets: readonly Buffer[], version: string): Buffer {
  return Buffer.concat([
    field(1, version),
    ...secrets.map((secret) => field(2, secret)),
    field(4, SECRET_TYPE),
    field(5, version),
  ])
}

/** envoy.service.discovery.v3.DiscoveryRequest: resource_names=3, type_url=4, response_nonce=5, error_detail=6 (google.rpc.Status, message=2). */
function readAsked(message: Buffer): Asked {
  const names: string[] = []
  let [type, nonce, refused] = ['', '', undefined as string | undefined]
  try {
    readFields(message, (number, value) => {
      if (number === 3) names.push(textOf(value))
      if (number === 4) type = textOf(value)
      if (number === 5) nonce = textOf(value)
      if (number === 6) refused = bytesOf(value).toString('latin1')
    })
  } catch (error) {
    if (error instanceof NotProtobuf) throw new GrpcError(GRPC.invalidArgument, error.message)
    throw error
  }
  if ((type !== '' && type !== SECRET_TYPE) || names.length === 0 || names.length > MOST_NAMES) {
    throw new GrpcError(GRPC.invalidArgument, 'name the secrets')
  }
  return { names, nonce, refused }
}
