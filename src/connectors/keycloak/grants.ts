import {
  credential,
  inBatches,
  inPages,
  known,
  unknown,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { instantAt } from '../../kernel/instant.ts'
import { clientOf, everyOf, listed, one, userOf, whenOf, type Listed } from './api.ts'
import { CLIENTS, isOutside, placeOf, type Reading } from './clients.ts'
import { USERS } from './people.ts'
import { Consent, Session, type Client } from './shapes.ts'
import { z } from 'zod'

const Consents = z.array(Consent).max(5_000)
type Login = z.output<typeof Session>

export const offlineOf = (session: string, client: string) => ({ kind: 'offline-session', id: `${session}/${client}` })

/** What people gave to clients for good: sessions that go on without them, and consents. */
export async function* readGrants(
  reading: Reading,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const { kc } = reading
  const asking = new Map<string, Client>()
  // The place is within the users, who come last; sessions are many fewer and told again.
  yield* inBatches(sessionsOf(reading, asking, signal))
  if (asking.size > 0) {
    for await (const { items, next } of listed(kc, USERS, placeOf(since), signal)) {
      const told: Observation[] = []
      for (const { id } of items) {
        const path = `/users/${encodeURIComponent(id)}/consents`
        for (const consent of (await one(kc, { path, need: USERS.need, shape: Consents }, signal)) ?? []) {
          const client = asking.get(consent.clientId)
          if (client) told.push(tellConsent(consent, id, client))
        }
      }
      yield* inPages(told, next === undefined ? undefined : String(next))
    }
  }
  return { status: 'complete', missing: [] }
}

/** Notes on the way which clients ask for consent: of others there is none. */
async function* sessionsOf(
  reading: Reading,
  asking: Map<string, Client>,
  signal: AbortSignal,
): AsyncGenerator<Observation[], void> {
  for await (const client of everyOf(reading.kc, CLIENTS, signal)) {
    if (client.consentRequired) asking.set(client.clientId, client)
    const sessions: Listed<Login> = {
      path: `/clients/${encodeURIComponent(client.id)}/offline-sessions`,
      need: CLIENTS.need,
      shape: Session,
      idOf: ({ id }) => id,
    }
    for await (const session of everyOf(reading.kc, sessions, signal)) yield tellSession(reading, session, client)
  }
}

const holderOf = (client: Client) => ({
  heldBy: known(isOutside(client) ? ('third-party' as const) : ('unknown-holder' as const)),
  state: known(client.enabled ? ('active' as const) : ('inactive' as const)),
})

/** Whose it is as far as the client says; its own name otherwise. */
const factsOf = (client: Client) => ({
  clientId: client.clientId,
  vendor: client.attributes['vendor'] ?? client.clientId,
})

function tellSession({ realm }: Reading, session: Login, client: Client): Observation[] {
  const id = offlineOf(session.id, client.id)
  const lasts = realm.offlineSessionMaxLifespanEnabled === true ? (realm.offlineSessionMaxLifespan ?? 0) : 0
  const ends = lasts > 0 && session.start !== undefined ? instantAt(session.start + lasts * 1000) : undefined
  const used = session.lastAccess === undefined ? undefined : instantAt(session.lastAccess)
  return [
    credential({
      id,
      principal: known(userOf(session.userId)),
      type: 'oauth-grant',
      name: `offline session at ${client.clientId}`,
      createdAt: whenOf(session.start),
      // One that is used goes on for ever where nothing ends it.
      expiresAt: ends ? known(ends) : lasts > 0 ? unknown('unsupported') : known('never'),
      bindings: known([]),
      ...holderOf(client),
      facts: { ...factsOf(client), isOffline: true, idleSeconds: realm.offlineSessionIdleTimeout ?? null },
    }),
    ...(used
      ? [
          {
            kind: 'usage' as const,
            subject: id,
            semantics: 'auth' as const,
            at: used,
            on: clientOf(client.id),
            actor: unknown('unsupported'),
          },
        ]
      : []),
  ]
}

function tellConsent(consent: z.output<typeof Consent>, user: string, client: Client): Observation {
  return credential({
    id: { kind: 'consent', id: `${user}/${client.id}` },
    principal: known(userOf(user)),
    type: 'oauth-grant',
    name: `consent to ${client.clientId}`,
    createdAt: whenOf(consent.createdDate),
    rotatedAt: whenOf(consent.lastUpdatedDate),
    expiresAt: known('never'),
    scopes: known(consent.grantedClientScopes),
    ...holderOf(client),
    facts: { ...factsOf(client), isOffline: consent.grantedClientScopes.includes('offline_access') },
  })
}
