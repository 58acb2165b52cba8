import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule, type Severity } from '../rule.ts'

// PostgreSQL 18, chapter 20: what each method of pg_hba.conf is worth.
const WEAK: Readonly<Record<string, string>> = {
  trust: 'it lets in without any proof',
  password: 'it asks for the password in the clear',
  ident: 'it believes what the client machine says of its user',
  md5: 'it lets in by MD5, which is broken',
}

export const weakLoginRule: Rule<TrustFacts> = {
  id: 'weak-login-rule',
  owasp: 'NHI4:2025',
  title: 'The server lets in by a weak method',
  why: 'Whoever reaches the server, or hears the network, becomes any account that the rule covers.',
  needs: 'the rules by which the server lets in (`pg_hba`)',
  fix: 'Change the method to `scram-sha-256` or `cert` over TLS (`hostssl`), and reload.',
  control: 'The configuration of servers is under review, and a weak method is refused there.',
  judge({ nativeKind, method, connection, isWildcard, isPresent, isWhole, readAt }) {
    if (nativeKind !== 'hba-rule') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (method === null) return unknown('by which method it lets in was not seen')
    const weak = WEAK[method]
    if (weak === undefined) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    return found(
      severityOf(method, connection),
      readAt,
      [weak, `for ${connection ?? 'some'} connections`],
      [
        ...(isWildcard ? [] : ['which accounts it covers depends on groups']),
        ...(connection === null ? ['for which connections it counts was not seen'] : []),
      ],
    )
  },
}

function severityOf(method: string, connection: string | null): Severity {
  if (connection === 'local') return method === 'trust' ? 'medium' : 'low'
  if (method === 'trust') return 'critical'
  return method === 'md5' || connection === 'hostssl' ? 'medium' : 'high'
}
