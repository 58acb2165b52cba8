/** Ways in to a client: to which addresses its answers go, by which flows tokens are had, and what is wider about it than it has to be. */
import type { Observation } from '../connector.ts'
import { clientOf } from './api.ts'
import type { Client } from './shapes.ts'

/** Redirects of one client that are told one by one. */
const REDIRECTS_MAX = 500
const LOOPBACK = /^http:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?=[:/?#*]|$)/i

/** What a redirect lets in beyond one address. Keycloak, "Valid redirect URIs": a `*` at the end of one without a query takes all that begins so. */
export function widensOf(uri: string): string[] {
  const isOpen = uri.endsWith('*') && !uri.includes('?')
  const host = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*\*$/i.test(uri)
  return [
    ...(isOpen ? [uri === '*' ? 'any-address' : host ? 'any-host' : 'any-path'] : []),
    // RFC 8252 §7.3: on the same machine there is no network to listen on.
    ...(/^http:/i.test(uri) && !LOOPBACK.test(uri) ? ['plaintext'] : []),
  ]
}

/** RFC 6749 §1.3 and what came after it, with who gets a token by it. */
const FLOWS: readonly (readonly [flow: string, by: string, isOn: (client: Client) => boolean])[] = [
  ['authorization-code', 'who logs in at the realm', (client) => client.standardFlowEnabled],
  ['implicit', 'who logs in at the realm, by the address of a page', (client) => client.implicitFlowEnabled],
  ['password', 'whoever types a password into the client', (client) => client.directAccessGrantsEnabled],
  ['client-credentials', 'the client itself', (client) => client.serviceAccountsEnabled],
  ['device', 'who confirms a code on another screen', on('oauth2.device.authorization.grant.enabled')],
  ['ciba', 'whom the client asks on another screen', on('oidc.ciba.grant.enabled')],
  ['token-exchange', 'whoever has another token of the realm', on('standard.token.exchange.enabled')],
  ['jwt-authorization', 'whoever has a token of a provider', on('oauth2.jwt.authorization.grant.enabled')],
]

function on(attribute: string): (client: Client) => boolean {
  return ({ attributes }) => attributes[attribute] === 'true'
}

export function flowsOf(client: Client): string[] {
  if (client.protocol !== 'openid-connect' || client.bearerOnly) return []
  return FLOWS.filter(([, , isOn]) => isOn(client)).map(([flow]) => flow)
}

export function isBuiltIn({ clientId, attributes }: Client): boolean {
  return attributes['realm_client'] === 'true' || BUILT_IN.has(clientId)
}
const BUILT_IN = new Set([
  'account',
  'account-console',
  'admin-cli',
  'broker',
  'realm-management',
  'security-admin-console',
])

/** Redirects, flows, and what a client that proves nothing may. A client that is off has none. */
export function tellWays(client: Client, realm: string, powers: readonly string[]): Observation[] {
  if (!client.enabled || client.bearerOnly) return []
  const isSilent = client.publicClient && client.attributes['pkce.code.challenge.method'] === undefined
  const facts = { where: `client ${client.clientId} of realm ${realm}`, isBuiltIn: isBuiltIn(client) }
  const to = clientOf(client.id)
  const flows = flowsOf(client)
  const usesRedirects = client.standardFlowEnabled || client.implicitFlowEnabled || client.protocol !== 'openid-connect'
  const uris = usesRedirects ? [...new Set(client.redirectUris)].filter((uri) => uri !== '') : []
  return [
    ...uris.slice(0, REDIRECTS_MAX).map((uri): Observation => {
      const widens = widensOf(uri)
      return {
        kind: 'trust',
        id: { kind: 'oidc-redirect', id: `${client.id}/${uri}` },
        from: { issuer: uri, claims: {} },
        to,
        wildcard: widens.some((each) => each.startsWith('any-')),
        facts: { ...facts, method: 'redirect', widens: [...widens, ...(isSilent ? ['no-pkce'] : [])] },
      }
    }),
    ...FLOWS.filter(([flow]) => flows.includes(flow)).map(([flow, by]): Observation => ({
      kind: 'trust',
      id: { kind: 'oidc-flow', id: `${client.id}/${flow}` },
      from: { issuer: by, claims: {} },
      to,
      wildcard: false,
      facts: { ...facts, method: flow, widens: client.publicClient ? ['public'] : [] },
    })),
    ...(client.publicClient && client.protocol === 'openid-connect'
      ? [
          {
            kind: 'trust' as const,
            id: { kind: 'oidc-public-client', id: client.id },
            from: { issuer: 'whoever knows its name', claims: {} },
            to,
            wildcard: true,
            facts: { ...facts, method: 'none', widens: [...powers] },
          },
        ]
      : []),
  ]
}

export function tooManyRedirects(client: Client): boolean {
  return client.redirectUris.length > REDIRECTS_MAX
}

/** What a client without a secret can do with a token, beyond its own. `scoped`: administrative roles that it may show. */
export function powersOf(client: Client, scoped: boolean): string[] {
  const flows = flowsOf(client)
  return [
    ...(flows.includes('client-credentials') ? ['service-account'] : []),
    ...(flows.includes('token-exchange') ? ['token-exchange'] : []),
    ...(client.fullScopeAllowed ? ['full-scope'] : scoped ? ['administers'] : []),
    ...(flows.includes('password') ? ['password'] : []),
    ...(flows.includes('device') ? ['device'] : []),
    ...(flows.includes('implicit') ? ['implicit'] : []),
  ]
}
