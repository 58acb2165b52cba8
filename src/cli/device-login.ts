import { z } from 'zod'
import { systemClock, secondsAfter } from '../kernel/clock.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import { ownCertificate } from '../kernel/own-certificate.ts'
import { systemRandom } from '../kernel/random.ts'
import { sleep } from '../kernel/timer.ts'
import { codeOf, unreachable } from './client.ts'
import type { Connection } from './connection.ts'
import type { Context } from './contexts.ts'
import { openExchange, textOfAnswer, type Exchange } from './exchange.ts'
import { EXIT, Failure, usage } from './failure.ts'
import { tell, type Io } from './io.ts'

const CLIENT_ID = 'reeve-cli'
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
/** Longer than any login lasts; the token ends long before. */
const CERTIFICATE_SECONDS = 30 * 86_400
/** RFC 8628 §3.5: without a word of the server, and what is added each time it says that it was too fast. */
const INTERVAL_SECONDS = 5
const SLOWER_SECONDS = 5

const Waiting = z.object({
  device_code: z.string().min(1).max(1_000),
  user_code: z.string().min(1).max(100),
  verification_uri: z.url({ protocol: /^https?$/ }).max(2_000),
  expires_in: z.number().min(1).max(86_400),
  interval: z.number().min(1).max(600).default(INTERVAL_SECONDS),
})
const Issued = z.object({ access_token: z.string().min(1).max(4_096), expires_in: z.number().min(1) })
const Refused = z.object({ error: z.string().max(200), error_description: z.string().max(2_000).default('') })

/**
 * Logs in by a browser, which may be on another machine (RFC 8628): shows an address and a code, opens nothing, and waits. The token belongs
 * to a key that was made for it and stays here, so that what is kept of it is worth nothing anywhere else.
 */
export async function logInByDevice(
  io: Io,
  at: Pick<Connection, 'address' | 'authority'>,
  signal?: AbortSignal,
): Promise<Context> {
  if (at.address.protocol !== 'https:') throw usage('A login binds its token to TLS, and this address has none.')
  const pair = await newKeyPair()
  const made = { name: CLIENT_ID, ttlSeconds: CERTIFICATE_SECONDS }
  const certificate = ownCertificate({ clock: systemClock, random: systemRandom }, pair, made)
  using exchange = openExchange({ ...at, client: { certificate, key: pair.privateKey } })
  const begun = await post(exchange, at, '/oauth2/device_authorization', { client_id: CLIENT_ID }, signal)
  const waiting = Waiting.safeParse(begun.body)
  if (begun.status !== 200 || !waiting.success) throw refusal(begun.body)
  tell(io, `Open this address in a browser, log in, and type the code:`)
  tell(io, `\n    ${waiting.data.verification_uri}\n    ${waiting.data.user_code}\n`)
  tell(io, 'Do not give the code to anybody: whoever has it let in acts as you.')
  const issued = await waitFor(exchange, at, waiting.data, signal)
  const { sid, jti } = claimsOf(issued.access_token)
  return {
    address: at.address.origin,
    ...(at.authority !== undefined && { authority: at.authority }),
    token: issued.access_token,
    ...(jti !== undefined && { tokenId: jti }),
    ...(sid !== undefined && { loginSession: sid }),
    expiresAt: secondsAfter(systemClock.now(), issued.expires_in).toISOString(),
    key: pair.privateKey.reveal(),
    certificate,
  }
}

async function waitFor(
  exchange: Exchange,
  at: Pick<Connection, 'address'>,
  waiting: z.output<typeof Waiting>,
  signal: AbortSignal | undefined,
): Promise<z.output<typeof Issued>> {
  const form = { grant_type: DEVICE_GRANT, client_id: CLIENT_ID, device_code: waiting.device_code }
  const endsMs = systemClock.monotonicMs() + waiting.expires_in * 1000
  let intervalSeconds = waiting.interval
  while (systemClock.monotonicMs() < endsMs) {
    await sleep(intervalSeconds * 1000, signal)
    const answer = await post(exchange, at, '/oauth2/token', form, signal).catch((error: unknown) => {
      // RFC 8628 §3.5: a connection that broke is tried again, more slowly.
      if (signal?.aborted || !(error instanceof Failure)) throw error
      return { status: 503, body: { error: 'slow_down' } }
    })
    const issued = answer.status === 200 ? Issued.safeParse(answer.body) : undefined
    if (issued?.success) return issued.data
    const error = Refused.safeParse(answer.body).data?.error
    if (error === 'slow_down') intervalSeconds += SLOWER_SECONDS
    else if (error !== 'authorization_pending' && error !== 'temporarily_unavailable') throw refusal(answer.body)
  }
  throw new Failure(EXIT.over, 'Nobody typed the code in time.', ['Start again: reeve login'])
}

async function post(
  exchange: Exchange,
  at: Pick<Connection, 'address'>,
  path: string,
  form: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const headers = {
    accept: 'application/json',
    'user-agent': CLIENT_ID,
    'content-type': 'application/x-www-form-urlencoded',
  }
  const sent = { method: 'POST', path, headers, body: new URLSearchParams(form).toString() }
  try {
    const answer = await exchange.send(sent, signal)
    return { status: answer.statusCode ?? 0, body: parsed(await textOfAnswer(answer)) }
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    throw error instanceof Failure || codeOf(error) === '' ? error : unreachable(at, error)
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function refusal(body: unknown): Failure {
  const { error, error_description: description } = Refused.safeParse(body).data ?? {}
  if (error === 'access_denied') return new Failure(EXIT.denied, 'The person at the browser did not let this in.')
  if (error === 'expired_token') return new Failure(EXIT.over, 'The code is over.', ['Start again: reeve login'])
  const why =
    description === undefined || description === '' ? 'The answer is not one of a token service.' : description
  return new Failure(EXIT.server, `The server did not log you in: ${why}`)
}

const Claims = z.object({ sid: z.uuid().optional(), jti: z.uuid().optional() })

/** What the token calls itself and its login, so that both can be ended by name. It was just given to us, so nobody has to vouch for it. */
function claimsOf(token: string): z.output<typeof Claims> {
  const [, payload = ''] = token.split('.')
  return Claims.safeParse(parsed(Buffer.from(payload, 'base64url').toString('utf8'))).data ?? {}
}
