import { after } from '../kernel/timer.ts'
import type { Secret } from '../kernel/secret.ts'

/** What a system of tickets said about one. Whatever is not a clear yes is a no. */
export type TicketCheck = {
  readonly isVerified: boolean
  /** Which system was asked; null when there is none. */
  readonly by: string | null
  /** In a sentence that may be shown and entered: no text of the answer is in it. */
  readonly sentence: string
}

/** Says whether a ticket is real and in a state that lets work go on. Never throws. */
export type TicketVerifier = {
  verify(ticket: string): Promise<TicketCheck>
}

/** Where no system is configured nothing is verified, and what asks for a verified ticket stays shut. */
export const noTicketVerifier: TicketVerifier = {
  verify: async () => ({
    isVerified: false,
    by: null,
    sentence: 'No system that tickets are verified with is configured.',
  }),
}

/** A system of tickets that answers `GET` with JSON. */
export type TicketSystem = {
  /** With `{ticket}` once, in the path or the query. */
  readonly url: string
  /** Where the state stands in the answer, as keys with dots between them. */
  readonly stateAt: string
  /** The states in which a ticket counts. */
  readonly states: readonly string[]
  /** Value of the `Authorization` header. */
  readonly authorization?: Secret | undefined
  readonly timeoutMs: number
}

const PLACE = '{ticket}'
/** A ticket's record is a few kilobytes; more is not one, and is not read to the end. */
const MAX_BYTES = 262_144

/** Thrown at start for a system that cannot be asked safely. */
export class TicketSystemInvalid extends Error {
  override readonly name = 'TicketSystemInvalid'
}

/**
 * Verifies tickets with the one configured host. A ticket comes from whoever asks, so it is one encoded segment of the address and
 * can name neither another host nor another path; redirects are errors; the answer is bounded in time and size.
 */
export function openTicketVerifier(system: TicketSystem): TicketVerifier {
  const base = addressFor(system.url, 'T-1')
  if (!base || system.url.split(PLACE).length !== 2) {
    throw new TicketSystemInvalid(`the address of the ticket system has ${PLACE} once, in its path or query`)
  }
  if (base.protocol !== 'https:' && !(base.protocol === 'http:' && isLoopback(base.hostname))) {
    throw new TicketSystemInvalid('the ticket system is asked over https, or over http on this machine')
  }
  if (base.username !== '' || base.password !== '') {
    throw new TicketSystemInvalid('the address of the ticket system holds no login; use authorization')
  }
  const by = base.host
  const refused = (sentence: string): TicketCheck => ({ isVerified: false, by, sentence })
  return {
    async verify(ticket) {
      const url = addressFor(system.url, ticket)
      if (!url) return refused('The ticket is not one that could be looked up.')
      const late = new AbortController()
      using _limit = after(system.timeoutMs, () => late.abort(new Error('the ticket system did not answer in time')))
      try {
        const state = await stateOf(url, system, late.signal)
        if (state === undefined) return refused(`The ticket is not known to ${by}.`)
        return system.states.includes(state)
          ? { isVerified: true, by, sentence: `The ticket was verified with ${by}.` }
          : refused(`The ticket is known to ${by}, in a state that lets nothing go on.`)
      } catch {
        return refused(`${by} could not be asked about the ticket, so it counts as not verified.`)
      }
    },
  }
}

/** The address for a ticket; undefined when the ticket would change anything but its own segment. */
function addressFor(template: string, ticket: string): URL | undefined {
  // The dots of `.` and `..` are not encoded, and URL would walk them.
  if (/^\.*$/.test(ticket)) return undefined
  try {
    const [probe, url] = [placed(template, 'T'), placed(template, ticket)]
    const same = url.origin === probe.origin && url.username === probe.username && url.hash === probe.hash
    const segments = (address: URL) => address.pathname.split('/').length
    return same && segments(url) === segments(probe) ? url : undefined
  } catch {
    return undefined
  }
}

function placed(template: string, ticket: string): URL {
  const url = new URL(template.replace(PLACE, () => encodeURIComponent(ticket)))
  // In the host the place would choose whom we ask.
  if (new URL(template.replace(PLACE, 'a')).host !== new URL(template.replace(PLACE, 'b')).host) {
    throw new TicketSystemInvalid('the host of the ticket system is fixed')
  }
  return url
}

async function stateOf(
  url: URL,
  { stateAt, authorization }: TicketSystem,
  signal: AbortSignal,
): Promise<string | undefined> {
  const response = await fetch(url, {
    headers: { accept: 'application/json', ...(authorization && { authorization: authorization.reveal() }) },
    redirect: 'error',
    signal,
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    if (response.status === 404) return undefined
    throw new Error(`the ticket system answered ${response.status}`)
  }
  let at: unknown = JSON.parse(await boundedText(response))
  for (const key of stateAt.split('.')) at = isRecord(at) && Object.hasOwn(at, key) ? at[key] : undefined
  if (typeof at !== 'string') throw new Error('the answer has no state')
  return at
}

async function boundedText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > MAX_BYTES) throw new Error('the answer is larger than a ticket')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}
