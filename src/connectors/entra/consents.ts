/** What people, and administrators for everybody, let applications do in their name. */
import {
  credential,
  grant,
  inPages,
  known,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { partiesOf, type Party } from './applications.ts'
import { pages, type Graph } from './api.ts'
import { levelOf } from './permissions.ts'
import { apiOf, Consent, principalOf, userOf } from './shapes.ts'

export const CONSENTS = {
  path: '/v1.0/oauth2PermissionGrants?$top=999',
  need: { what: 'what was consented to', permission: 'Directory.Read.All' },
  shape: Consent,
}

export async function* readConsents(
  graph: Graph,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const parties = await partiesOf(graph, signal)
  for await (const { items, next } of pages(graph, CONSENTS, since.cursor, signal))
    yield* inPages(
      items.flatMap((each) => tellConsent(each, parties)),
      next,
    )
  return { status: 'complete', missing: [] }
}

function tellConsent(consent: Consent, parties: ReadonlyMap<string, Party>): Observation[] {
  const scopes = [...new Set((consent.scope ?? '').split(' ').filter((each) => each !== ''))].toSorted()
  const client = parties.get(consent.clientId)
  const at = parties.get(consent.resourceId)?.name ?? consent.resourceId
  const isEverybodys = consent.consentType === 'AllPrincipals'
  const name = client?.name ?? consent.clientId
  const facts = {
    vendor: client?.isForeign === true ? (client.publisher ?? name) : null,
    publisher: client?.publisher ?? null,
    isPublisherVerified: client?.publisher !== undefined,
    clientId: client?.appId ?? null,
    at,
    forEverybody: isEverybodys,
    isOffline: scopes.includes('offline_access'),
  }
  return [
    credential({
      id: { kind: 'consent', id: consent.id },
      // Of everybody nobody is named: it is the application that acts, as whoever is there.
      principal: known(
        isEverybodys || !consent.principalId ? principalOf(consent.clientId) : userOf(consent.principalId),
      ),
      type: 'oauth-grant',
      name: `${isEverybodys ? 'consent for everybody' : 'consent'} to ${name} at ${at}`,
      ...(client && { state: known(client.isOn ? ('active' as const) : ('inactive' as const)) }),
      expiresAt: known('never'),
      scopes: known(scopes),
      ...(client && { heldBy: known(client.isForeign ? ('third-party' as const) : ('self' as const)) }),
      facts,
    }),
    ...scopes.map((scope) =>
      grant({
        id: { kind: 'delegated-permission', id: `${consent.id}/${scope}` },
        principal: principalOf(consent.clientId),
        on: apiOf(consent.resourceId),
        privilege: scope,
        level: levelOf(scope),
        grantable: known(false),
        // Never more than whoever is there has themselves.
        facts: { isDelegated: true, forEverybody: isEverybodys },
      }),
    ),
  ]
}
