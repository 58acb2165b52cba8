/** The way of a decider to its Reeve: HTTPS with the token of an enforcement point. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import { isLoopback } from '../../kernel/config/schema.ts'
import type { Operation } from '../../kernel/operation.ts'
import type { Secret } from '../../kernel/secret.ts'

export type LinkOptions = {
  readonly url: string
  readonly token: Secret
  /** PEM of the authority that issued the certificate of Reeve; those of the system by default. */
  readonly ca?: string | undefined
  readonly timeoutMs: number
}

/** Nothing was learned; why, in a sentence. */
export class LinkFailed extends Error {
  override readonly name = 'LinkFailed'
  /** Of an answer that refuses; undefined where none came. */
  readonly status: number | undefined

  constructor(message: string, status?: number) {
    super(message)
    this.status = status
  }
}

const MOST_BYTES = 64_000_000
const Told = z.object({ detail: z.string().optional(), title: z.string().optional() })

export class Link implements Disposable {
  readonly #options: LinkOptions
  readonly #url: URL
  readonly #agent: HttpAgent | HttpsAgent

  constructor(options: LinkOptions) {
    this.#options = options
    this.#url = new URL(options.url)
    const isPlain = this.#url.protocol === 'http:' && isLoopback(this.#url.hostname)
    if (this.#url.protocol !== 'https:' && !isPlain) throw new LinkFailed('a decider asks by https')
    this.#agent = isPlain ? new HttpAgent({ keepAlive: true }) : new HttpsAgent({ keepAlive: true })
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  /** One call of an operation. Throws `LinkFailed`. */
  async ask<Op extends Operation>(
    operation: Op,
    input: z.input<Op['input']>,
    idempotencyKey?: string,
  ): Promise<z.output<Op['output']>> {
    const signal = AbortSignal.timeout(this.#options.timeoutMs)
    const body = JSON.stringify(input)
    const response = await this.#send(operation, body, signal, idempotencyKey)
    const answer = await bounded(response)
    const json: unknown = parsed(answer)
    if (response.statusCode !== operation.status) {
      const told = Told.safeParse(json).data
      throw new LinkFailed(told?.detail ?? told?.title ?? 'the answer is no answer', response.statusCode)
    }
    return outputOf(operation, json)
  }

  /** Calls with each line of a stream until it ends or breaks. */
  async follow<Op extends Operation>(
    operation: Op,
    signal: AbortSignal,
    onLine: (line: z.output<Op['output']>) => void,
  ): Promise<void> {
    const response = await this.#send(operation, undefined, signal)
    if (response.statusCode !== operation.status) throw new LinkFailed('the stream was refused', response.statusCode)
    for await (const line of linesOf(response)) onLine(outputOf(operation, parsed(line)))
  }

  #send(
    { method, path }: Operation,
    body: string | undefined,
    signal: AbortSignal,
    idempotencyKey?: string,
  ): Promise<IncomingMessage> {
    const { token, ca } = this.#options
    const send = this.#url.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const asked = send(
        new URL(path, this.#url),
        {
          method,
          agent: this.#agent,
          signal,
          ...(ca !== undefined && { ca }),
          headers: {
            authorization: `Bearer ${token.reveal()}`,
            ...(body !== undefined && {
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(body),
            }),
            ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
          },
        },
        resolve,
      )
      asked.on('error', (error) => reject(new LinkFailed(`Reeve cannot be reached (${codeOf(error)})`)))
      asked.end(body)
    })
  }
}

/** A line is a few hundred bytes. */
const LONGEST_LINE = 65_536

/** Rejects when the stream breaks off, which is not the same as its end. */
async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of response.setEncoding('utf8')) {
    const lines = `${rest}${chunk}`.split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LONGEST_LINE) throw new LinkFailed('a line is too long')
    yield* lines
  }
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

async function bounded(response: IncomingMessage): Promise<string> {
  let bytes = 0
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > MOST_BYTES) response.destroy(new LinkFailed('the answer is too large'))
  })
  try {
    return await text(response)
  } catch (error) {
    throw error instanceof LinkFailed ? error : new LinkFailed('the answer broke off')
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw new LinkFailed('the answer is no JSON')
  }
}

function outputOf<Op extends Operation>({ output }: Op, json: unknown): z.output<Op['output']> {
  const answer = z.safeDecode(output, json)
  if (!answer.success) throw new LinkFailed('the answer has another form: is Reeve of another release?')
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it was parsed by this very schema
  return answer.data as z.output<Op['output']>
}
