import { createServer as createHttpServer, type Server as HttpServer, type RequestListener } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { Secret } from '../secret.ts'

/** The server's own certificate, and the CA whose client certificates prove a caller. PEM texts. */
export type TlsMaterial = { readonly key: Secret; readonly cert: string; readonly clientCa?: string }

/** Node's own bounds, stated: a slow or greedy client holds a socket no longer than this. */
const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 30_000,
  maxHeaderSize: 16_384,
}
const MOST_CONNECTIONS = 10_000
const MOST_HEADERS = 100
const TLS_HANDSHAKE_MS = 10_000

export type RawServer = HttpServer | HttpsServer

export function rawServer(tls: TlsMaterial | 'plaintext', handler: RequestListener): RawServer {
  const server = tls === 'plaintext' ? createHttpServer(LIMITS, handler) : secureServer(tls, handler)
  server.maxConnections = MOST_CONNECTIONS
  server.maxHeadersCount = MOST_HEADERS
  return server
}

/** What a renewed certificate replaces; connections that stand keep the old one. */
export function secureContext(tls: TlsMaterial): { key: string; cert: string; ca?: string; minVersion: 'TLSv1.2' } {
  return {
    key: tls.key.reveal(),
    cert: tls.cert,
    minVersion: 'TLSv1.2',
    ...(tls.clientCa !== undefined && { ca: tls.clientCa }),
  }
}

function secureServer(tls: TlsMaterial, handler: RequestListener): HttpsServer {
  const hasClientCa = tls.clientCa !== undefined
  return createHttpsServer(
    {
      ...LIMITS,
      ...secureContext(tls),
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: TLS_HANDSHAKE_MS,
      // A certificate is one proof among others: without a valid one the token decides.
      requestCert: hasClientCa,
      rejectUnauthorized: false,
    },
    handler,
  )
}
