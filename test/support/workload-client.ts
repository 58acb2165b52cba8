import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { connect } from 'node:net'
import { framed, Frames } from '../../src/kernel/grpc/frame.ts'
import { bytesOf, field, readFields, textOf } from '../../src/kernel/grpc/protobuf.ts'

/** A call of the Workload API by hand, for what no honest client does. Real ones are in `test/interop`. */
export type WorkloadCall = AsyncDisposable & {
  /** The next message; undefined when the call is over. */
  next(): Promise<Buffer | undefined>
  /** The status, when the call is over. */
  readonly status: Promise<{ readonly code: number; readonly message: string }>
  send(message: Buffer): void
  cancel(): void
}

const SERVICE = '/SpiffeWorkloadAPI/'

export function connectTo(socketPath: string): ClientHttp2Session {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(socketPath) })
  session.on('error', () => undefined)
  return session
}

/** Calls a method with one message; `headers` go over the ordinary ones. */
export function callWorkload(
  session: ClientHttp2Session,
  method: string,
  message: Buffer = Buffer.alloc(0),
  headers: Readonly<Record<string, string>> = {},
  isOpen = false,
): WorkloadCall {
  const stream = session.request({
    ':method': 'POST',
    ':path': method.startsWith('/') ? method : SERVICE + method,
    'content-type': 'application/grpc',
    te: 'trailers',
    'workload.spiffe.io': 'true',
    ...headers,
  })
  stream.on('error', () => undefined)
  const frames = new Frames(10_000_000)
  const messages: Buffer[] = []
  const waiting: ((message: Buffer | undefined) => void)[] = []
  let isOver = false
  stream.on('data', (chunk: Buffer) => {
    for (const each of frames.push(chunk)) {
      const waiter = waiting.shift()
      if (waiter) waiter(each)
      else messages.push(each)
    }
  })
  const status = statusOf(stream)
  void status.then(() => {
    isOver = true
    for (const waiter of waiting.splice(0)) waiter(undefined)
  })
  if (isOpen) stream.write(framed(message))
  else stream.end(framed(message))
  return {
    status,
    send: (more) => void stream.write(framed(more)),
    cancel: () => stream.close(8),
    next: () =>
      new Promise((resolve) => {
        const ready = messages.shift()
        if (ready || isOver) resolve(ready)
        else waiting.push(resolve)
      }),
    async [Symbol.asyncDispose]() {
      stream.close(8)
      await status
    },
  }
}

function statusOf(stream: ClientHttp2Stream): WorkloadCall['status'] {
  return new Promise((resolve) => {
    const take = (headers: object) => {
      const code: unknown = Reflect.get(headers, 'grpc-status')
      const message: unknown = Reflect.get(headers, 'grpc-message')
      if (code !== undefined)
        resolve({ code: Number(code), message: decodeURIComponent(typeof message === 'string' ? message : '') })
    }
    stream.on('response', take)
    stream.on('trailers', take)
    stream.on('close', () => resolve({ code: -1, message: 'the stream was cut' }))
  })
}

/** Fields of a message by their numbers, as bytes. */
export function fieldsOf(message: Buffer): Map<number, Buffer[]> {
  const found = new Map<number, Buffer[]>()
  readFields(message, (number, value) => {
    if (typeof value === 'number') return
    found.set(number, [...(found.get(number) ?? []), bytesOf(value)])
  })
  return found
}

type X509Answer = { readonly id: string; readonly certificate: Buffer; readonly key: Buffer; readonly bundle: Buffer }

export function readX509(message: Buffer | undefined): X509Answer[] {
  const empty = Buffer.alloc(0)
  return (fieldsOf(message ?? empty).get(1) ?? []).map((svid) => {
    const fields = fieldsOf(svid)
    const [id = empty, certificate = empty, key = empty, bundle = empty] = [1, 2, 3, 4].map(
      (number) => fields.get(number)?.[0],
    )
    return { id: textOf(id), certificate, key, bundle }
  })
}

export function jwtRequest(audience: readonly string[], spiffeId?: string): Buffer {
  return Buffer.concat([...audience.map((each) => field(1, each)), ...(spiffeId ? [field(2, spiffeId)] : [])])
}

export function validateRequest(audience: string, svid: string): Buffer {
  return Buffer.concat([field(1, audience), field(2, svid)])
}
