import { request as plainRequest, Agent as PlainAgent, type IncomingMessage } from 'node:http'
import { request as secureRequest, Agent as SecureAgent } from 'node:https'
import type { Connection } from './connection.ts'

export type Sent = {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

/** One server, over connections that are kept for the next call. */
export type Exchange = Disposable & {
  /** Resolves with the head of the answer. Rejects with the connection's error, or the signal's reason. */
  send(sent: Sent, signal?: AbortSignal): Promise<IncomingMessage>
}

/** Nothing on the line for this long is a dead peer; the server's own streams say something more often. */
const SILENCE_MS = 60_000

export function openExchange(connection: Pick<Connection, 'address' | 'authority' | 'client'>): Exchange {
  const { address } = connection
  const isSecure = address.protocol === 'https:'
  const agent = isSecure
    ? new SecureAgent({ keepAlive: true, ...trust(connection) })
    : new PlainAgent({ keepAlive: true })
  return {
    send: ({ method, path, headers, body }, signal) =>
      new Promise((resolve, reject) => {
        const options = {
          method,
          agent,
          headers: { ...headers, ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }) },
          ...(signal && { signal }),
        }
        const url = new URL(path, address)
        const request = isSecure ? secureRequest(url, options, resolve) : plainRequest(url, options, resolve)
        request.on('error', (error) => reject(signal?.aborted ? signal.reason : error))
        request.setTimeout(SILENCE_MS, () => request.destroy(timedOut()))
        request.end(body)
      }),
    [Symbol.dispose]: () => agent.destroy(),
  }
}

function trust({ authority, client }: Pick<Connection, 'authority' | 'client'>): Record<string, string> {
  return {
    minVersion: 'TLSv1.2',
    ...(authority !== undefined && { ca: authority }),
    ...(client && { cert: client.certificate, key: client.key.reveal() }),
  }
}

function timedOut(): Error {
  return Object.assign(new Error('the server said nothing for a minute'), { code: 'ETIMEDOUT' })
}

/** An answer is a page of records at most; a stream is read by lines instead. */
const ANSWER_MAX_BYTES = 64_000_000

/** The whole body as text. */
export async function textOfAnswer(answer: IncomingMessage): Promise<string> {
  return (await bytesOfAnswer(answer)).toString('utf8')
}

/** The whole body. */
export async function bytesOfAnswer(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of answer) {
    const bytes = Buffer.from(chunk)
    sizeBytes += bytes.length
    if (sizeBytes > ANSWER_MAX_BYTES) throw new Error('The answer is larger than any this program asks for.')
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

/** The lines of a stream. Throws when it breaks off, so that a part is never taken for the whole. */
export async function* linesOfAnswer(answer: IncomingMessage): AsyncGenerator<string> {
  answer.setEncoding('utf8')
  let rest = ''
  for await (const chunk of answer) {
    const pieces = (rest + String(chunk)).split('\n')
    rest = pieces.pop() ?? ''
    if (rest.length > ANSWER_MAX_BYTES)
      throw new Error('A line of the answer is larger than any this program asks for.')
    yield* pieces.filter((line) => line !== '')
  }
  if (!answer.complete) throw new Error('The answer broke off before its end.')
  if (rest !== '') yield rest
}
