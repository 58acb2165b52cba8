import { get } from 'node:https'
import { Installation, INSTALLATION_PATH } from '../kernel/installation.ts'
import { spkiSha256 } from '../kernel/key-pair.ts'
import { codeOf, unreachable } from './client.ts'
import { addressOf } from './connection.ts'
import { textOfAnswer } from './exchange.ts'
import { EXIT, Failure, usage } from './failure.ts'

/** A one-time link: `https://host:port/#enrol=<secret>&ca=<sha256 of the CA's public key>`. What stands behind # is never sent anywhere. */
export type Link = { readonly address: URL; readonly secret: string; readonly pin: string | undefined }

const SECRET = /^[A-Za-z0-9._~-]{16,200}$/
const PIN = /^[0-9a-f]{64}$/

export function parseLink(text: string): Link {
  const url = URL.parse(text.trim())
  const parts = new URLSearchParams(url?.hash.slice(1) ?? '')
  const secret = parts.get('enrol') ?? ''
  const pin = parts.get('ca')?.toLowerCase()
  if (!url || !SECRET.test(secret) || (pin !== undefined && !PIN.test(pin))) {
    throw usage(
      'This is no enrolment link.',
      'It looks like https://host:7300/#enrol=…&ca=…; quote it, since # and & mean something to a shell.',
    )
  }
  return { address: addressOf(url.origin), secret, pin }
}

/** The link for a secret that was just made: where the server is, and the pin by which its CA is known. */
export function linkFor(address: URL, secret: string, authority: string | undefined): string {
  const pin = authority === undefined ? '' : `&ca=${spkiSha256(authority)}`
  return `${address.origin}/#enrol=${secret}${pin}`
}

/**
 * The CA certificate of the server, trusted because its key has the hash that the link told. It comes over a connection that proves nothing,
 * so nothing is sent over that one but the question.
 */
export async function fetchAuthority(address: URL, pin: string): Promise<string> {
  const text = await publicDocument(address)
  const read = Installation.safeParse(parsed(text))
  const authority = read.data?.authority ?? undefined
  if (authority === undefined) throw notTheServer(address)
  let found: string
  try {
    found = spkiSha256(authority)
  } catch (error) {
    throw notTheServer(address, error)
  }
  if (found !== pin) throw notTheServer(address)
  return authority
}

function publicDocument(address: URL): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(
      new URL(INSTALLATION_PATH, address),
      // What comes is believed by its hash alone.
      { rejectUnauthorized: false, agent: false, headers: { accept: 'application/json' }, timeout: 10_000 },
      (answer) => void textOfAnswer(answer).then(resolve, reject),
    )
    request.on('timeout', () => request.destroy(new Error('the server said nothing for 10 s')))
    request.on('error', (error) => {
      reject(codeOf(error) === 'EPROTO' ? notTheServer(address, error) : unreachable({ address }, error))
    })
  })
}

function notTheServer(address: URL, cause?: unknown): Failure {
  return new Failure(
    EXIT.server,
    `What answers at ${address.origin} is not the server that the link was made by. The link was not sent to it.`,
    ['Ask whoever sent the link for a new one, on another way.'],
    { cause },
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
