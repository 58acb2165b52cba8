/**
 * The PostgreSQL gateway: any client connects as `<account>@<target>` with a ticket or the certificate of a run, and works against the
 * target under a lease that it never sees. The boundary is the upstream role (core 19); statements are classified so that what the grant
 * does not cover is refused with a sentence, and everything is recorded.
 */
import { createServer, type Server } from 'node:net'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Gateway, Listen, OpenGateway, Plane } from '../gateway.ts'
import { postgresActions } from './actions.ts'
import { CancelKeys } from './cancel-keys.ts'
import { serveClient, type Live } from './serve-client.ts'
import { PostgresSettings } from './settings.ts'
import { createAnalyser } from './sql/analyse.ts'

/** How many clients may be between connecting and being admitted; more wait in the system's queue or are turned away. */
const MOST_ARRIVING = 512
const BACKLOG = 1024

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
    settings: PostgresSettings,
    open: (plane, listen) => openPostgresGateway(plane, listen, options),
  }
}

async function openPostgresGateway(
  plane: Plane,
  listen: Listen,
  options: PostgresGatewayOptions,
): Promise<OpenGateway> {
  const analyser = await createAnalyser()
  const cancelKeys = new CancelKeys(plane.random)
  const live = new Set<Live>()
  const stopping = new AbortController()
  let arriving = 0
  const context = contextOf(plane)
  const server = createServer(
    { noDelay: true, keepAlive: true, pauseOnConnect: false, allowHalfOpen: false },
    (socket) => {
      if (arriving >= MOST_ARRIVING) {
        socket.destroy()
        return
      }
      arriving += 1
      const onAdmitted = () => {
        arriving -= 1
      }
      const parts = {
        plane,
        analyser,
        cancelKeys,
        live,
        context: context(),
        allowsPlaintext: options.allowsPlaintext === true,
      }
      void serveClient({ ...parts, socket, onAdmitted, stopping: stopping.signal })
    },
  )
  await listening(server, listen)
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : listen.port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      stopping.abort(STOPPING)
      for (const session of live) session.end(STOPPING)
      await Promise.all([...live].map((session) => session.over))
      await closed
    },
  }
}

const STOPPING = {
  reason: 'node-stopping',
  sentence: 'This node of Reeve is stopping; connect again to reach another.',
}

/** The certificate in use; made anew when the plane renewed it. */
function contextOf(plane: Plane): () => SecureContext {
  let made: { cert: string; context: SecureContext } | undefined
  return () => {
    const { key, cert, clientCa } = plane.tls()
    if (made?.cert !== cert) {
      made = { cert, context: createSecureContext({ key: key.reveal(), cert, ca: clientCa, minVersion: 'TLSv1.2' }) }
    }
    return made.context
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
