import type { IncomingHttpHeaders } from 'node:http2'

/** How a call ends that does not end well. https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
export const GRPC = {
  ok: 0,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const

/** Ends a call with a status of one's own choice; anything else that is thrown ends it as `internal`, in no words. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** One call: its only message, and who makes it as far as the connection knows. */
export type GrpcCall = {
  readonly message: Buffer
  readonly metadata: IncomingHttpHeaders
  /** DER of a client certificate whose chain was verified against the client CA. */
  readonly certificate: Buffer | undefined
  readonly clientAddress: string
  /** What the listener's `peerOf` found of the other end of this connection. */
  readonly peer: unknown
  /** Aborted when the caller goes away, the time is over, or the listener closes. */
  readonly signal: AbortSignal
}

/** Who is at the other end of a connection; told when that is closed. */
export type GrpcPeer = Disposable

/** What else the caller of a `duplex` method sends. */
export type LaterMessages = {
  /** Hands over each further message, in its order, those that came before as well. Called once. */
  listen(heard: (message: Buffer) => void): void
}

/** A method with one message of the caller: one answer, or answers as they come. */
export type GrpcMethod =
  | { readonly kind: 'unary'; readonly run: (call: GrpcCall) => Promise<Buffer> }
  | { readonly kind: 'stream'; readonly run: (call: GrpcCall) => AsyncIterable<Buffer> }
  /** Messages of both sides as they come; the call's own is the first of the caller's. */
  | { readonly kind: 'duplex'; readonly run: (call: GrpcCall, later: LaterMessages) => AsyncIterable<Buffer> }
