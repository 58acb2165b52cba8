/** The SPIFFE Workload API. https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Workload_API.md */
import { certificateDer } from '../kernel/crypto.ts'
import { pkcs8Der } from '../kernel/key-pair.ts'
import { secondsAfter, type Clock } from '../kernel/clock.ts'
import { GRPC, GrpcError, type GrpcCall, type GrpcMethod } from '../kernel/grpc/call.ts'
import { NotProtobuf } from '../kernel/grpc/protobuf.ts'
import { unverifiedJwsClaims, verifyJws } from '../kernel/jws.ts'
import { readSpiffeId } from '../kernel/spiffe-id.ts'
import { bundlesOf, jwtMap, x509Map, x509Of } from './bundles.ts'
import { Caller } from './caller.ts'
import * as messages from './messages.ts'
import type { HeldX509, Placed, Workloads } from './workloads.ts'

type Needs = { readonly workloads: Workloads; readonly clock: Clock }

const SERVICE = '/SpiffeWorkloadAPI/'
/** Against servers that are made to ask for others: whoever only relays bytes does not send it (Workload API §6). */
const HEADER = 'workload.spiffe.io'
/** A process may become another program while its stream is open, so it is looked at again. */
const LOOK_SECONDS = 15
const MOST_AUDIENCES = 10
const AUDIENCE_CHARS = 500
/** Clocks may differ by so much. */
const SKEW_SECONDS = 10

export function workloadApi(needs: Needs): ReadonlyMap<string, GrpcMethod> {
  const stream = (run: (call: GrpcCall, caller: Caller) => AsyncIterable<Buffer>): GrpcMethod => ({
    kind: 'stream',
    run: async function* answers(call) {
      const caller = callerOf(call)
      using _counted = caller.beginCall()
      yield* run(call, caller)
    },
  })
  const unary = (run: (call: GrpcCall, caller: Caller) => Promise<Buffer>): GrpcMethod => ({
    kind: 'unary',
    run: async (call) => {
      const caller = callerOf(call)
      using _counted = caller.beginCall()
      return await readable(() => run(call, caller))
    },
  })
  return new Map([
    [`${SERVICE}FetchX509SVID`, stream((call, caller) => pushed(needs, call, () => x509Svids(needs, caller)))],
    [`${SERVICE}FetchX509Bundles`, stream((call, caller) => pushed(needs, call, () => bundles(needs, caller, 'x509')))],
    [`${SERVICE}FetchJWTBundles`, stream((call, caller) => pushed(needs, call, () => bundles(needs, caller, 'jwt')))],
    [`${SERVICE}FetchJWTSVID`, unary((call, caller) => jwtSvids(needs, caller, call.message))],
    [`${SERVICE}ValidateJWTSVID`, unary((call, caller) => validated(needs, caller, call.message))],
  ])
}

/** Who calls, as the kernel knows them. Throws where the call is not made as the specification wants it. */
function callerOf({ metadata, peer }: GrpcCall): Caller {
  if (metadata[HEADER] !== 'true')
    throw new GrpcError(GRPC.invalidArgument, `security header missing from request: ${HEADER}`)
  return peerOf(peer)
}

export function peerOf(peer: unknown): Caller {
  if (!(peer instanceof Caller)) throw new GrpcError(GRPC.permissionDenied, 'nobody knows who calls')
  return peer
}

type Shown = { readonly message: Buffer; readonly again: Date }

/** The whole state, and again whenever it is another: each message replaces the one before (Workload API §5.2.1). */
async function* pushed(
  needs: Needs,
  call: Pick<GrpcCall, 'signal'>,
  look: () => Promise<Shown>,
): AsyncIterable<Buffer> {
  let last: Buffer | undefined
  while (!call.signal.aborted) {
    const { turn } = needs.workloads
    const { message, again } = await look()
    if (!last?.equals(message)) yield message
    last = message
    await needs.workloads.changedSince(turn, again, call.signal)
  }
}

/** What fits the caller at this moment. */
export async function placementsOf({ workloads }: Needs, caller: Caller): Promise<readonly Placed[]> {
  return workloads.fitting(await caller.selectors(workloads.hashesPrograms))
}

async function x509Svids(needs: Needs, caller: Caller): Promise<Shown> {
  const { workloads } = needs
  const placements = await placementsOf(needs, caller)
  const held = await heldOf(needs, placements)
  const known = bundlesOf(workloads.state)
  const own = x509Of(known.get(workloads.state.trustDomain))
  const svids = held.map(({ placement, certificate, privateKey }) => ({
    spiffeId: placement.spiffeId,
    certificates: certificateDer(certificate),
    key: pkcs8Der(privateKey).reveal(),
    bundle: own,
    hint: placement.hint,
  }))
  const message = messages.x509SvidResponse(svids, x509Map(known, workloads.state.trustDomain))
  return { message, again: earlier(workloads.lookAgainAt(held), soonOf(needs)) }
}

/** Certificates of all of them that can be had; throws when there is none. */
export async function heldOf({ workloads }: Needs, placements: readonly Placed[]): Promise<readonly HeldX509[]> {
  const settled = await Promise.allSettled(placements.map((placement) => workloads.x509(placement)))
  const held = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const [failed] = settled.flatMap((each): unknown[] => (each.status === 'rejected' ? [each.reason] : []))
  if (held.length === 0) throw failed
  return held
}

async function bundles(needs: Needs, caller: Caller, kind: 'x509' | 'jwt'): Promise<Shown> {
  await placementsOf(needs, caller)
  const known = bundlesOf(needs.workloads.state)
  const message =
    kind === 'x509' ? messages.x509BundlesResponse(x509Map(known)) : messages.jwtBundlesResponse(jwtMap(known))
  return { message, again: soonOf(needs) }
}

async function jwtSvids(needs: Needs, caller: Caller, message: Buffer): Promise<Buffer> {
  const { audience, spiffeId } = messages.readJwtSvidRequest(message)
  const isFit = audience.every((each) => each !== '' && each.length <= AUDIENCE_CHARS)
  if (audience.length === 0 || audience.length > MOST_AUDIENCES || !isFit) {
    throw new GrpcError(GRPC.invalidArgument, `name one to ${MOST_AUDIENCES} audiences`)
  }
  const fitting = await placementsOf(needs, caller)
  const wanted = fitting.filter((placement) => spiffeId === '' || placement.spiffeId === spiffeId)
  if (wanted.length === 0) throw new GrpcError(GRPC.permissionDenied, 'this process is not that identity')
  const held = await Promise.all(
    wanted.map(async (placement) => {
      const { token } = await needs.workloads.jwt(placement, audience)
      return { spiffeId: placement.spiffeId, token: token.reveal(), hint: placement.hint }
    }),
  )
  return messages.jwtSvidResponse(held)
}

/** JWT-SVID §4 to §6, by the bundle of the domain that the subject names. */
async function validated(needs: Needs, caller: Caller, message: Buffer): Promise<Buffer> {
  const { audience, svid } = messages.readValidateRequest(message)
  if (audience === '' || svid === '') throw new GrpcError(GRPC.invalidArgument, 'an audience and a token are needed')
  await placementsOf(needs, caller)
  const refuse = (why: string) => new GrpcError(GRPC.invalidArgument, why)
  const subject = unverifiedJwsClaims(svid)?.['sub']
  const id = typeof subject === 'string' ? readSpiffeId(subject) : undefined
  const bundle = id && bundlesOf(needs.workloads.state).get(id.trustDomain)
  if (typeof subject !== 'string' || !id || id.path === '' || !bundle) throw refuse('no bundle is known for the token')
  const verified = verifyJws(svid, bundle.jwtKeys)
  const typ = verified?.header['typ']
  if (!verified || !(typ === undefined || typ === 'JWT' || typ === 'JOSE')) throw refuse('the token cannot be verified')
  const { aud, exp, nbf } = verified.claims
  const nowSeconds = needs.clock.now().getTime() / 1000
  const isFor = typeof aud === 'string' ? aud === audience : Array.isArray(aud) && aud.includes(audience)
  if (!isFor) throw refuse('the token is for another audience')
  if (typeof exp !== 'number' || exp <= nowSeconds - SKEW_SECONDS) throw refuse('the token has expired')
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf > nowSeconds + SKEW_SECONDS))
    throw refuse('the token is not valid yet')
  return messages.validateResponse(subject, verified.claims)
}

function soonOf({ clock }: Needs): Date {
  return secondsAfter(clock.now(), LOOK_SECONDS)
}

function earlier(a: Date, b: Date): Date {
  return a < b ? a : b
}

async function readable<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof NotProtobuf) throw new GrpcError(GRPC.invalidArgument, error.message)
    throw error
  }
}
