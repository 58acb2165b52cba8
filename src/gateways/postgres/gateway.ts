/**
 * The PostgreSQL gateway: any client connects as `<account>@<target>` with a ticket or the certificate of a run, and works against the
 * target under a lease that it never sees. The boundary is the upstream role (core 19); statements are classified so that what the grant
 * does not cover is refused with a sentence, and everything is recorded.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import { after, every } from '../../kernel/timer.ts'
import type { Gateway, Listen, OpenGateway, Plane } from '../gateway.ts'
import { postgresActions } from './actions.ts'
import { CancelKeys } from './cancel-keys.ts'
import { STOPPING } from './endings.ts'
import { HELD_CLASSES } from './gate.ts'
import { serveClient, type Live } from './serve-client.ts'
import { PostgresSettings } from './settings.ts'
import { createAnalyser } from './sql/analyse.ts'

/** How many clients may be between connecting and being known. One more, and the one that has taken longest has to go. */
const MOST_ARRIVING = 512
const BACKLOG = 1024
/** A client that vanished without a word is noticed after this and a few probes. */
const KEEP_ALIVE_MS = 30_000
/** How often idle sessions are looked for. */
const IDLE_CHECK_MS = 1_000

export type PostgresGatewayOptions = {
  /**
   * Lets clients in without TLS. A ticket would then travel in the clear, so no configuration sets this: it exists for measuring the
   * cost of TLS on one machine.
   */
  readonly allowsPlaintext?: boolean
}

export function postgresGateway(options: PostgresGatewayOptions = {}): Gateway {
  return {
    protocol: 'postgres',
    actions: postgresActions,
    holds: [...HELD_CLASSES],
    settings: PostgresSettings,
    open: (plane, listen) => openPostgresGateway(plane, listen, options),
  }
}

async function openPostgresGateway(
  plane: Plane,
  listen: Listen,
  { allowsPlaintext = false }: PostgresGatewayOptions,
): Promise<OpenGateway> {
  const analyser = await createAnalyser()
  const cancelKeys = new CancelKeys(plane.random)
  const passedOn = plane.onCancel((processId, key) => cancelKeys.cancel(processId, key))
  const live = new Set<Live>()
  const serving = new Set<Promise<void>>()
  const arriving = new Set<Socket>()
  const stopping = new AbortController()
  const tls = tlsOf(plane)
  const serve = (socket: Socket) => {
    makeRoom(arriving)
    arriving.add(socket)
    const onKnown = () => void arriving.delete(socket)
    const { context, clientCa } = tls()
    const trust = { clientCa, clock: plane.clock, allowsPlaintext }
    const client = { plane, analyser, cancelKeys, live, context, trust, socket, onKnown, stopping: stopping.signal }
    const served = serveClient(client).finally(() => {
      onKnown()
      serving.delete(served)
    })
    serving.add(served)
  }
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, serve)
  await listening(server, listen)
  const idleChecks = every(IDLE_CHECK_MS, () => {
    const nowMs = plane.clock.monotonicMs()
    for (const session of live) session.checkIdle(nowMs)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      stopping.abort(STOPPING)
      for (const session of live) session.drain(STOPPING)
      using _hurry = after(plane.drainMs, () => {
        for (const session of live) session.end(STOPPING)
      })
      while (serving.size > 0) await Promise.all(serving)
      idleChecks[Symbol.dispose]()
      passedOn[Symbol.dispose]()
      await closed
    },
  }
}

/** Whoever proves quickly who they are gets in, however many never do. */
function makeRoom(arriving: Set<Socket>): void {
  if (arriving.size < MOST_ARRIVING) return
  const [longest] = arriving
  if (!longest) return
  arriving.delete(longest)
  longest.destroy()
}

/** The certificate in use; made anew when the plane renewed it. */
function tlsOf(plane: Plane): () => { context: SecureContext; clientCa: string } {
  let made: { cert: string; clientCa: string; context: SecureContext } | undefined
  return () => {
    const { key, cert, clientCa } = plane.tls()
    if (made?.cert !== cert || made.clientCa !== clientCa) {
      const context = createSecureContext({ key: key.reveal(), cert, ca: clientCa, minVersion: 'TLSv1.2' })
      made = { cert, clientCa, context }
    }
    return made
  }
}

function listening(server: Server, { host, port }: Listen): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
