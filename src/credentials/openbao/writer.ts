import { z } from 'zod'
import { secondsAfter, type Clock } from '../../kernel/clock.ts'
import type { Egress } from '../../kernel/egress.ts'
import { askTarget, at, refusedBy, textAt, type Answer } from '../issued/ask.ts'
import { secretOf, type HandedWriter } from '../issued/handed.ts'
import { LeaseFailure, NotWanted, type LeaseTerms, type Site, type WrittenLease } from '../writer.ts'
import { OpenbaoSettings } from './settings.ts'

/** The protocol of OpenBao and Vault, asked for dynamic secrets. */
export const OPENBAO = 'openbao'

/** A mount and what lies in it; no dots that would lead elsewhere, no parameters. */
const PATH = /^[A-Za-z0-9][\w-]*(\/[A-Za-z0-9][\w.-]*)+$/
/** Of one secret: names and values of a login, not a document. */
const MOST_VALUES = 20

const Kept = z.object({ accessor: z.string(), leaseId: z.string().nullable() })

/**
 * A dynamic secret, read with a token that is made for this lease alone. Its accessor is noted before the secret is read, so a process that
 * dies behind the read leaves something that can be ended: OpenBao revokes with a token what was leased by it. The end revokes the token, and a
 * look-up of the lease proves it.
 */
export function openbaoWriter(needs: { readonly egress: Egress; readonly clock: Pick<Clock, 'now'> }): HandedWriter {
  const vault = (site: Site, signal: AbortSignal) => openVault(needs.egress, site, signal)
  return {
    kind: 'openbao-secret',
    protocol: OPENBAO,
    mode: 'lease',
    capability: {
      revocability: 'immediate',
      coexisting: null,
      isReversible: false,
      permissions: [
        'update auth/token/create, auth/token/lookup-accessor, auth/token/revoke-accessor',
        'update sys/leases/lookup, sys/leases/revoke',
        'the policies of the settings, to pass them on',
      ],
    },
    needsSite: true,
    plan: (_random, { terms }) => ({ principal: pathOf(terms), revocability: 'immediate' }),
    async apply(site, lease, making, signal) {
      const path = pathOf(lease.terms)
      const { settings, ask } = vault(site, signal)
      const now = needs.clock.now()
      const leftSeconds = Math.floor((lease.terms.validUntil.getTime() - now.getTime()) / 1000)
      const seconds = Math.max(1, Math.min(settings.maxSeconds, leftSeconds))
      const { token, accessor } = await makeToken(ask, { settings, leaseId: lease.id, seconds })
      if (!(await making.keep({ accessor, leaseId: null }))) {
        await revokeToken(ask, accessor)
        throw new NotWanted('the lease was ended while it was being made')
      }
      const answer = await ask('GET', path, undefined, token)
      if (answer.status === 404) throw new LeaseFailure('there is nothing at this path')
      if (answer.status !== 200) throw refusedBy('reading the path', answer)
      const leaseId = textAt(answer.json, 'lease_id')
      if (leaseId === undefined) throw new LeaseFailure('the path holds no dynamic secret: what it gave has no lease')
      const leased = at(answer.json, ['lease_duration'])
      const lifeSeconds = typeof leased === 'number' && leased > 0 ? Math.min(leased, seconds) : seconds
      return {
        details: { accessor, leaseId, about: { server: settings.server, path } },
        secret: secretOf(valuesIn(answer)),
        validBefore: secondsAfter(now, lifeSeconds),
      }
    },
    async end(site, lease, signal) {
      const { ask } = vault(site, signal)
      const kept = keptOf(lease)
      if (kept?.leaseId) {
        const ended = await ask('POST', 'sys/leases/revoke', { lease_id: kept.leaseId, sync: true })
        if (!isDone(ended) && ended.status !== 400 && ended.status !== 404) throw refusedBy('revoking', ended)
      }
      if (kept) await revokeToken(ask, kept.accessor)
      return { appeared: [], unread: [] }
    },
    async verify(site, lease, signal) {
      const kept = keptOf(lease)
      if (!kept) return { kind: 'dead', evidence: { path: lease.principal, token: 'never used' } }
      const { ask } = vault(site, signal)
      const token = await ask('POST', 'auth/token/lookup-accessor', { accessor: kept.accessor })
      if (token.status === 200) return { kind: 'alive', why: 'the token that it was read with still lives' }
      if (!isUnknown(token)) throw refusedBy('looking up the token', token)
      if (!kept.leaseId) {
        return { kind: 'dead', evidence: { path: lease.principal, token: 'revoked', secret: 'never received' } }
      }
      const leased = await ask('POST', 'sys/leases/lookup', { lease_id: kept.leaseId })
      if (leased.status === 200) return { kind: 'alive', why: 'its lease is still there' }
      if (!isUnknown(leased)) throw refusedBy('looking up the lease', leased)
      return { kind: 'dead', evidence: { path: lease.principal, token: 'revoked', lease: 'unknown' } }
    },
  }
}

function keptOf({ details }: WrittenLease): z.output<typeof Kept> | undefined {
  return Kept.safeParse(details).data
}

/** The path that bounds the strongest granted action: `database/creds/reader`. */
function pathOf({ roles }: LeaseTerms): string {
  const [path = ''] = roles
  if (!PATH.test(path) || path.includes('..') || /^(sys|auth|identity|cubbyhole)\//.test(path)) {
    throw new LeaseFailure('the account, or what bounds the action, is no path of a dynamic secret')
  }
  return path
}

type Ask = (
  method: 'GET' | 'POST',
  path: string,
  body?: Readonly<Record<string, unknown>>,
  token?: string,
) => Promise<Answer>

function openVault(egress: Egress, site: Site, signal: AbortSignal) {
  const settings = OpenbaoSettings.parse(site.settings)
  const base = settings.server.replace(/\/+$/, '')
  const ask: Ask = (method, path, body, token) =>
    askTarget(
      egress,
      {
        method,
        url: `${base}/v1/${path}`,
        headers: {
          'x-vault-token': token ?? site.provisioner.secret.reveal(),
          'x-vault-request': 'true',
          ...(settings.namespace !== undefined && { 'x-vault-namespace': settings.namespace }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ca: settings.ca,
      },
      signal,
    )
  return { settings, ask }
}

type Asked = { readonly settings: OpenbaoSettings; readonly leaseId: string; readonly seconds: number }

async function makeToken(ask: Ask, { settings, leaseId, seconds }: Asked) {
  const made = await ask('POST', 'auth/token/create', {
    policies: settings.policies,
    no_default_policy: true,
    ttl: `${seconds}s`,
    explicit_max_ttl: `${seconds}s`,
    renewable: false,
    display_name: 'reeve',
    meta: { reeve_lease: leaseId },
  })
  if (made.status !== 200) throw refusedBy('making a token', made)
  const token = textAt(made.json, 'auth', 'client_token')
  const accessor = textAt(made.json, 'auth', 'accessor')
  if (token === undefined || accessor === undefined) throw new LeaseFailure('the answer had no token')
  return { token, accessor }
}

async function revokeToken(ask: Ask, accessor: string): Promise<void> {
  const answer = await ask('POST', 'auth/token/revoke-accessor', { accessor })
  if (!isDone(answer) && !isUnknown(answer)) throw refusedBy('revoking its token', answer)
}

function isDone({ status }: Answer): boolean {
  return status === 200 || status === 204
}

/** OpenBao answers 400 or 404 for a lease it does not know, and 403 or 404 with `invalid accessor` for a token. */
function isUnknown({ status, json }: Answer): boolean {
  if (status === 404) return true
  const errors = at(json, ['errors'])
  const told = Array.isArray(errors) ? errors.map(String).join(' ') : ''
  return (status === 400 || status === 403 || status === 500) && /invalid (lease|accessor)|lease not found/.test(told)
}

function valuesIn({ json }: Answer): Record<string, string> {
  const data = Object.entries(Object(at(json, ['data']))).flatMap(([name, value]) =>
    typeof value === 'string' && value !== '' ? [[name, value] as const] : [],
  )
  if (data.length === 0 || data.length > MOST_VALUES) throw new LeaseFailure('what the path gave is no login')
  return Object.fromEntries(data)
}
