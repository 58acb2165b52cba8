import { z } from 'zod'
import { shown } from '../../kernel/event.ts'

const URL_MAX = 500

/**
 * Where a target's API is: https and nothing but a host, a port and a path. Without TLS only this machine itself, and only where the settings say
 * so by `plaintext`: a login would travel in plain text. Whether the address may be reached at all is the guarded client's to say (`egress.allow`).
 */
export const ApiAddress = shown(z.string().min(1).max(URL_MAX)).refine((text) => isAddress(text), {
  message: 'write https://host[:port][/path], without a login, a query or a fragment',
})

/** What every such target has. */
export const Reached = {
  plaintext: shown(z.boolean())
    .default(false)
    .describe('without TLS; only of an address of this machine itself, for tests'),
  ca: shown(z.string().min(1).max(65_536)).optional().describe('PEM of the authority its certificate comes from'),
}

/** What is said of settings whose address is plain without saying so. */
export const PLAIN = 'without TLS only this machine itself may be asked, and `plaintext` has to say so'

/** Whether an address is https, or plain on purpose and on this machine. */
export function isProtected(address: string, plaintext: boolean): boolean {
  const url = URL.parse(address)
  if (!url) return false
  return url.protocol === 'https:' ? true : plaintext && isThisMachine(url.hostname)
}

function isAddress(text: string): boolean {
  const url = URL.parse(text)
  if (!url || !['https:', 'http:'].includes(url.protocol)) return false
  return url.hostname !== '' && `${url.username}${url.password}${url.search}${url.hash}` === ''
}

function isThisMachine(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}
