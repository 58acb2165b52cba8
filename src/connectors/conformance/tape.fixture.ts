/**
 * A source's own answers, kept from an honest reading and given again: what is spoiled afterwards is spoiled of a real answer, and a thousand
 * readings take no longer than their parsing. What is not on the tape is asked for.
 */
import type { Clock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Connector, Given, HttpAnswer, HttpAsked, OpenSource, SourceHttp } from '../connector.ts'

/** What a reading needs of a bed. */
export type Readable = {
  readonly connector: Connector
  readonly settings: unknown
  readonly credential?: Record<string, string>
}

export type Heard = HttpAnswer & { readonly key: string; readonly to: number; readonly asked: HttpAsked }
/** Answers in the place of one that is on the tape; undefined lets it through. */
export type Spoil = (
  heard: Heard,
  asked: HttpAsked,
  signal: AbortSignal,
) => Promise<HttpAnswer> | HttpAnswer | undefined

/** JSON-RPC 2.0 §4: each request has an id of its own, which its answer repeats. */
const RPC_ID = /(?<=^\{"jsonrpc":"2\.0",)"id":(\d+)/

/** What is the same request when it is made again: proofs are made anew each time, and ids and times in them differ. */
function keyOf(to: number, { method = 'GET', path, headers = {}, body = '' }: HttpAsked): string {
  const accept = headers['accept']
  return [
    to,
    method,
    path,
    typeof accept === 'string' ? accept : '',
    body.replace(RPC_ID, '').replace(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'JWT'),
  ].join(' ')
}

export class Tape {
  readonly heard = new Map<string, Heard>()
  /** Keys in the order they were asked for since it was cleared. */
  readonly asked: string[] = []
  spoil: Spoil | undefined
  readonly #origins: readonly SourceHttp[]

  constructor(origins: readonly SourceHttp[], heard: readonly Heard[] = []) {
    this.#origins = origins
    for (const one of heard) this.heard.set(one.key, one)
  }

  /** The seam: what a connector is given in the place of its `to`th address. */
  http(to: number): SourceHttp {
    const ask = (asked: HttpAsked, signal: AbortSignal) => this.#answer(to, asked, signal)
    return Object.assign(ask, {
      stream: async (asked: HttpAsked, signal: AbortSignal) => {
        const { body, ...head } = await ask(asked, signal)
        return { ...head, body: oneChunk(body), [Symbol.dispose]: () => undefined }
      },
    })
  }

  async #answer(to: number, asked: HttpAsked, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted()
    const key = keyOf(to, asked)
    this.asked.push(key)
    const heard = this.heard.get(key) ?? (await this.#hear(key, to, asked, signal))
    const answer = (await this.spoil?.(heard, asked, signal)) ?? heard
    const [before, now] = [idOf(heard.asked), idOf(asked)]
    if (before === now) return answer
    return { ...answer, body: Buffer.from(answer.body.toString('utf8').replace(before, now)) }
  }

  async #hear(key: string, to: number, asked: HttpAsked, signal: AbortSignal): Promise<Heard> {
    const origin = this.#origins[to]
    if (!origin) throw new Error(`nothing on the tape answers ${key}`)
    const heard = { ...(await origin({ ...asked, maxBytes: 64 * 1024 * 1024 }, signal)), key, to, asked }
    this.heard.set(key, heard)
    return heard
  }
}

function idOf({ body = '' }: HttpAsked): string {
  return RPC_ID.exec(body)?.[0] ?? ''
}

async function* oneChunk(body: Buffer): AsyncGenerator<Buffer, void> {
  yield body
}

/** The bed's connector over these addresses instead of its own. */
export function openOver(
  { connector, settings, credential }: Readable,
  { http, also, clock }: Pick<Given, 'http' | 'also' | 'clock'>,
  signal: AbortSignal,
): Promise<OpenSource> {
  return connector.open(
    {
      settings: connector.settings.parse(settings),
      credential: credential && new Secret(JSON.stringify(credential)),
      clock,
      fingerprint: () => ({ alg: 'hmac-sha256', keyId: '0'.repeat(12), value: '0'.repeat(64) }),
      http,
      ...(also && { also }),
      ours: async () => new Set(),
      custody: () => Buffer.of(),
    },
    signal,
  )
}

/** Where the bed's source is asked: its address, and the others of the same system. */
export function addressesOf({ connector, settings }: Readable): readonly string[] {
  const parsed = connector.settings.parse(settings)
  return [connector.address(parsed), ...(connector.also?.(parsed) ?? [])]
}

/** A clock that stands, so that what is asked for by time is asked for in the same words again. */
export function standing(at: Date): Clock {
  return { now: () => at, monotonicMs: () => 0 }
}
