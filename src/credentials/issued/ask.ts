import { EgressFailed, type Egress } from '../../kernel/egress.ts'
import { LeaseFailure, TargetDown } from '../writer.ts'

/** An answer of a target's API, read as JSON where it is; of what is no JSON the text is kept. */
export type Answer = {
  readonly status: number
  /** An object; the list that `text` is stays there. */
  readonly json: Readonly<Record<string, unknown>>
  readonly text: string
}

type Asking = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly ca?: string | undefined
}

const TIMEOUT_MS = 10_000
const MAX_BYTES = 262_144
const TYPES = [
  'application/json',
  'text/xml',
  'application/xml',
  'text/html',
  'text/plain',
  'application/x-git-upload-pack-advertisement',
]

/** Asks a target through the guarded client. Throws `TargetDown` when it gave no answer, and never says what the answer held. */
export async function askTarget(
  egress: Egress,
  { method, url, headers, body, ca }: Asking,
  signal: AbortSignal,
): Promise<Answer> {
  try {
    const { status, body: bytes } = await egress.ask(
      url,
      {
        method,
        headers,
        types: TYPES,
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
        ...(body !== undefined && { body }),
        ...(ca !== undefined && { ca }),
      },
      signal,
    )
    const text = bytes.toString('utf8')
    return { status, json: jsonOf(text), text }
  } catch (error) {
    if (!(error instanceof EgressFailed)) throw error
    signal.throwIfAborted()
    const sentence = `the target cannot be asked: ${error.message.replace(/\.$/, '')}`
    if (error.reason === 'unreachable' || error.reason === 'late') throw new TargetDown(sentence, { cause: error })
    throw new LeaseFailure(sentence, { cause: error })
  }
}

/** That the target did not do it, in our own words: what it says itself is not ours to show. */
export function refusedBy(what: string, { status }: Answer): LeaseFailure {
  if (status === 401) return new TargetDown(`the target does not know our login (${what}: 401)`)
  if (status >= 500 || status === 429) return new TargetDown(`the target could not do it now (${what}: ${status})`)
  return new LeaseFailure(`the target refused it (${what}: ${status})`)
}

/** A text inside of an answer, by its path. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = at(value, path)
  return typeof found === 'string' && found !== '' ? found : undefined
}

export function at(value: unknown, path: readonly string[]): unknown {
  let here = value
  for (const name of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, name)) return undefined
    here = Reflect.get(here, name)
  }
  return here
}

function jsonOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
  } catch {
    return {}
  }
}
