import {
  credential,
  Holes,
  inPages,
  known,
  principal,
  unknown,
  Unreadable,
  type Given,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { instantAt } from '../../kernel/instant.ts'
import { Secret } from '../../kernel/secret.ts'
import { clientOf, listed, one, realmOf, Refused, userOf, whenOf, type Keycloak, type Listed } from './api.ts'
import { flowsOf, isBuiltIn, powersOf, tellWays, tooManyRedirects } from './flows.ts'
import { Client, ScopeMappings, User, type Realm } from './shapes.ts'

export type Reading = {
  readonly kc: Keycloak
  readonly realm: Realm & { readonly id: string }
  readonly fingerprint: Given['fingerprint']
}

export const CLIENTS: Listed<Client> = {
  path: '/clients',
  need: 'view-clients',
  shape: Client,
  idOf: ({ id }) => id,
  max: 100,
}

/** Attributes that people write about a client: evidence of who answers for it. Others hold settings, and some of them keys. */
const TAGS = [
  'vendor',
  'owner',
  'team',
  'contact',
  'environment',
  'service',
  'repository',
  'cost-center',
  'policyUri',
  'tosUri',
]

/** Clients with what they prove themselves by, where their answers go, and the service accounts that they act as. */
export async function* readClients(
  reading: Reading,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  for await (const { items, next } of listed(reading.kc, CLIENTS, placeOf(since), signal)) {
    const told: Observation[] = []
    for (const client of items) told.push(...(await tellClient(reading, client, holes, signal)))
    // A reading that goes on behind a hole would forget it.
    const isWhole = holes.missing.length === 0
    yield* inPages(told, next === undefined || !isWhole ? undefined : String(next))
  }
  const missing = holes.all()
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

export function placeOf({ cursor }: Since): number {
  return /^\d{1,9}$/.test(cursor ?? '') ? Number(cursor) : 0
}

async function tellClient(reading: Reading, client: Client, holes: Holes, signal: AbortSignal): Promise<Observation[]> {
  const { kc, realm } = reading
  const id = clientOf(client.id)
  const isScoped = client.publicClient && !client.fullScopeAllowed && (await showsAdministration(kc, client, signal))
  if (tooManyRedirects(client))
    holes.add({ what: `redirects of ${client.clientId}`, why: 'it has more of them than are kept' })
  const { attributes } = client
  return [
    principal({
      id,
      type: 'app',
      name: client.clientId,
      aliases: client.name === undefined || client.name === '' ? [] : [client.name],
      state: known(client.enabled ? 'active' : 'disabled'),
      interactive: known(false),
      tags: Object.fromEntries([
        ...(client.description ? [['description', client.description]] : []),
        ...TAGS.flatMap((name) => (attributes[name] ? [[name, attributes[name]]] : [])),
      ]),
      facts: {
        clientId: client.clientId,
        protocol: client.protocol,
        isPublic: client.publicClient,
        isBearerOnly: client.bearerOnly,
        isBuiltIn: isBuiltIn(client),
        asksForConsent: client.consentRequired,
        authenticator: client.publicClient ? 'none' : client.clientAuthenticatorType,
        flows: flowsOf(client),
        pkce: attributes['pkce.code.challenge.method'] ?? null,
        showsEveryRole: client.fullScopeAllowed,
        webOrigins: client.webOrigins,
        bindsTokens:
          attributes['tls.client.certificate.bound.access.tokens'] === 'true' ||
          attributes['dpop.bound.access.tokens'] === 'true',
      },
    }),
    ...tellLogins(reading, client),
    ...(await tellServiceAccount(reading, client, holes, signal)),
    ...tellWays(client, realm.realm, powersOf(client, isScoped)),
  ]
}

/** Whether a token of the client may show roles that administer a realm. */
async function showsAdministration(kc: Keycloak, { id }: Client, signal: AbortSignal): Promise<boolean> {
  const path = `/clients/${encodeURIComponent(id)}/scope-mappings`
  const found = await one(kc, { path, need: 'view-clients', shape: ScopeMappings }, signal)
  return Object.values(found?.clientMappings ?? {}).some(
    ({ client, mappings }) => isAdministrative(client, kc.settings.realm) && mappings.length > 0,
  )
}

/** The client whose roles administer: one of each realm, and in the realm of administrators one for each other. */
export function isAdministrative(clientId: string, realm: string): boolean {
  return clientId === 'realm-management' || (realm === 'master' && clientId.endsWith('-realm'))
}

/** Undefined where the server does not give it. Keycloak fails at one whose user is gone, and goes on to fail. */
async function serviceAccountOf(kc: Keycloak, { id }: Client, signal: AbortSignal): Promise<User | undefined> {
  const path = `/clients/${encodeURIComponent(id)}/service-account-user`
  for (const isLast of [false, true])
    try {
      return await one(kc, { path, need: 'view-clients', shape: User }, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof Unreadable || (error instanceof Refused && error.status === 400)) return undefined
      if (!(error instanceof Refused) || error.status !== 500) throw error
      if (isLast) return undefined
    }
  return undefined
}

async function tellServiceAccount(
  { kc, realm }: Reading,
  client: Client,
  holes: Holes,
  signal: AbortSignal,
): Promise<Observation[]> {
  if (!client.serviceAccountsEnabled) return []
  const user = await serviceAccountOf(kc, client, signal)
  if (!user) {
    holes.add({ what: `the service account of ${client.clientId}`, why: 'the server does not give it' })
    return []
  }
  const isOn = user.enabled !== false && client.enabled
  return [
    principal({
      id: userOf(user.id),
      type: 'service',
      name: user.username,
      state: known(isOn ? 'active' : 'disabled'),
      createdAt: whenOf(user.createdTimestamp),
      interactive: known(false),
      facts: {
        clientId: client.clientId,
        realm: realm.realm,
        tokenSubjects: [user.id],
        'tokenClaim:azp': client.clientId,
      },
    }),
    {
      kind: 'trust',
      id: { kind: 'service-account', id: client.id },
      from: clientOf(client.id),
      to: userOf(user.id),
      wildcard: false,
      facts: { method: 'client-credentials', where: `client ${client.clientId} of realm ${realm.realm}` },
    },
  ]
}

type Login = Pick<Extract<Observation, { kind: 'credential' }>, 'id' | 'type'> &
  Partial<Extract<Observation, { kind: 'credential' }>>

/** Whose it is when a client has to ask for consent, or says so: somebody else's. */
export function isOutside({ consentRequired, attributes }: Client): boolean {
  return consentRequired || (attributes['vendor'] ?? '') !== ''
}

/** What a client proves itself by. A secret that its way of proof does not use proves nothing and is not told. */
function tellLogins({ kc, fingerprint, realm }: Reading, client: Client): Observation[] {
  if (client.bearerOnly || client.protocol !== 'openid-connect') return []
  const { attributes, secret } = client
  const about = {
    principal: known(clientOf(client.id)),
    name: client.clientId,
    state: known(client.enabled ? ('active' as const) : ('inactive' as const)),
    bindings: known([]),
    scopes: known([...client.defaultClientScopes, ...client.optionalClientScopes]),
    heldBy: known(isOutside(client) ? ('third-party' as const) : ('unknown-holder' as const)),
  }
  const login = ({ facts, ...told }: Login): Observation =>
    credential({ ...about, ...told, facts: { method: client.clientAuthenticatorType, realm: realm.realm, ...facts } })
  const id = (kind: string): NativeId => ({ kind, id: client.id })
  if (client.publicClient) return [login({ id: id('public-client'), type: 'none', expiresAt: known('never') })]
  switch (client.clientAuthenticatorType) {
    case 'client-jwt':
      return [
        login({
          id: id('client-key'),
          type: 'key-pair',
          strength: known('strong'),
          facts: { keysFrom: attributes['use.jwks.url'] === 'true' ? (attributes['jwks.url'] ?? null) : 'the realm' },
        }),
      ]
    case 'client-x509':
      return [
        login({
          id: id('client-certificate'),
          type: 'certificate',
          facts: { subject: attributes['x509.subjectdn'] ?? null },
        }),
      ]
    case 'federated-jwt':
      return [
        login({
          id: id('client-federation'),
          type: 'federated-trust',
          strength: known('strong'),
          expiresAt: known('never'),
        }),
      ]
    default:
      return [
        login({
          id: id('client-secret'),
          type: 'client-secret',
          ...ageOf(attributes, '', kc.clock.now()),
          ...likeOf(secret, fingerprint),
        }),
        ...rotatedOf(attributes, kc.clock.now()).map((told) =>
          login({ id: id('rotated-client-secret'), type: 'client-secret', ...told }),
        ),
      ]
  }
}

function likeOf(secret: string | undefined, fingerprint: Given['fingerprint']) {
  if (secret === undefined || secret === '') return { fingerprints: unknown('denied'), strength: unknown('denied') }
  const isShort = secret.length < WEAK_CHARACTERS
  return {
    fingerprints: known([fingerprint(new Secret(secret))]),
    strength: isShort ? known('weak' as const) : known('strong' as const),
    strengthWhy: isShort ? [`it is shorter than ${WEAK_CHARACTERS} characters`] : [],
  }
}
/** Fewer than those of 128 random bits by 6 a character (RFC 6749 §10.10 asks for that many). */
const WEAK_CHARACTERS = 22

/** Keycloak keeps of a secret when it was made since it makes them, and its end under a policy of rotation only. */
function ageOf(attributes: Client['attributes'], which: '' | 'rotated.', now: Date) {
  const at = (name: string) => {
    const text = attributes[`client.secret.${which}${name}.time`] ?? ''
    return /^\d{1,12}$/.test(text) && text !== '0' ? instantAt(Number(text) * 1000) : undefined
  }
  const [made, ends] = [at('creation'), at('expiration')]
  return {
    createdAt: made ? known(made) : unknown('unsupported'),
    rotatedAt: made ? known(made) : unknown('unsupported'),
    expiresAt: known(ends ?? ('never' as const)),
    ...(ends && ends <= now && { state: known('expired' as const) }),
  }
}

/** The secret that was rotated away still works until its end. Its value is not asked for. */
function rotatedOf(attributes: Client['attributes'], now: Date) {
  if (attributes['client.secret.rotated.expiration.time'] === undefined) return []
  return [
    { ...ageOf(attributes, 'rotated.', now), fingerprints: unknown('not-collected'), facts: { isRotatedAway: true } },
  ]
}

/** A trust of a client that proves itself by a token of somebody else, or by a name in a certificate. */
export function tellForeignProofs(
  client: Client,
  issuers: ReadonlyMap<string, string>,
  realm: Realm & { readonly id: string },
): Observation[] {
  if (!client.enabled || client.publicClient) return []
  const { attributes } = client
  const where = `client ${client.clientId} of realm ${realm.realm}`
  if (client.clientAuthenticatorType === 'federated-jwt') {
    const alias = attributes['jwt.credential.issuer'] ?? ''
    const subject = attributes['jwt.credential.sub'] ?? ''
    return [
      {
        kind: 'trust',
        id: { kind: 'client-federation', id: client.id },
        // RFC 7523 §3: the audience is the realm itself, which Keycloak holds by itself.
        from: {
          issuer: issuers.get(alias) ?? `provider ${alias}`,
          claims: { aud: [realmOf(realm.id).id], sub: [subject] },
        },
        to: clientOf(client.id),
        wildcard: subject === '' || subject.includes('*'),
        facts: { method: 'federated-jwt', where },
      },
    ]
  }
  if (client.clientAuthenticatorType !== 'client-x509') return []
  const isPattern = attributes['x509.allow.regex.pattern.comparison'] === 'true'
  return [
    {
      kind: 'trust',
      id: { kind: 'client-certificate', id: client.id },
      from: {
        issuer: 'every authority that the server believes',
        claims: { subject: [attributes['x509.subjectdn'] ?? ''] },
      },
      to: clientOf(client.id),
      wildcard: isPattern,
      facts: { method: 'client-x509', where, isPattern },
    },
  ]
}
