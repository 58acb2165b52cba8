import { secondsAfter } from '../../kernel/clock.ts'
import { WELL_FORMED, verified, type Verdict } from './verdict.ts'
import type { Found } from '../rules/rule.ts'

/** The object in one base64url part, or nothing. */
function objectOf(part: string | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

/** RFC 7519: a header that names an algorithm, and claims. Says when it ended or ends; whether it is signed well needs its issuer's key. */
export function jwt(secret: string, { now }: Pick<Found, 'now'>): Verdict | undefined {
  const [head, body, signature = ''] = secret.split('.')
  const header = objectOf(head)
  const claims = objectOf(body)
  if (!header || typeof header['alg'] !== 'string' || !claims) return undefined
  // An unsecured one (RFC 7519 §6) proves nothing to anybody.
  if (signature === '' || header['alg'].toLowerCase() === 'none') return undefined
  const { exp } = claims
  if (typeof exp !== 'number' || !Number.isFinite(exp)) return { validity: 'verified-offline', detail: 'never expires' }
  const at = dayOf(exp, now)
  return exp * 1000 <= now.getTime() ? { validity: 'expired', detail: `expired ${at}` } : verified(`expires ${at}`)
}

/** The last second of the year 9999: beyond it a date has no text. */
const LATEST_SECONDS = 253_402_300_799

function dayOf(seconds: number, now: Date): string {
  const at = Math.min(Math.max(seconds, 0), LATEST_SECONDS)
  return secondsAfter(now, at - now.getTime() / 1000)
    .toISOString()
    .slice(0, 10)
}

/** A part that is JSON in base64, as vendors put after their prefix. */
export function jsonAfter(prefix: string): (secret: string) => Verdict | undefined {
  return (secret) => {
    const rest = secret.slice(prefix.length).split(/[._]/)[0]
    return objectOf(rest) ? verified('structure read') : WELL_FORMED
  }
}
