import { credential, inBatches, known, segment, type Observation, type Page, type ScopeReport } from '../connector.ts'
import { everyOf, one, realmOf, type Listed } from './api.ts'
import { CLIENTS, tellForeignProofs, type Reading } from './clients.ts'
import { Mapper, Provider, type Realm } from './shapes.ts'
import { z } from 'zod'

const PROVIDERS: Listed<Provider> = {
  path: '/identity-provider/instances',
  need: 'view-identity-providers',
  shape: Provider,
  idOf: ({ internalId }) => internalId,
  max: 100,
}
const Mappers = z.array(Mapper).max(5_000)

/** Whom the realm believes about people and clients: identity providers, what they give by themselves, and clients that prove themselves by others. */
export async function* readProviders(reading: Reading, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  yield* inBatches(providersOf(reading, signal))
  return { status: 'complete', missing: [] }
}

async function* providersOf({ kc, realm }: Reading, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  const issuers = new Map<string, string>()
  for await (const provider of everyOf(kc, PROVIDERS, signal)) {
    const { issuer } = provider.config
    if (issuer !== undefined) issuers.set(provider.alias, issuer)
    const alias = segment(provider.alias)
    const asked = { path: `/identity-provider/instances/${alias}/mappers`, need: PROVIDERS.need, shape: Mappers }
    yield tellProvider(provider, alias === undefined ? [] : ((await one(kc, asked, signal)) ?? []), realm)
  }
  for await (const client of everyOf(kc, CLIENTS, signal)) yield tellForeignProofs(client, issuers, realm)
}

/** Addresses that a realm asks, or believes what comes from. */
const ADDRESSES = [
  'issuer',
  'authorizationUrl',
  'tokenUrl',
  'jwksUrl',
  'userInfoUrl',
  'singleSignOnServiceUrl',
  'metadataDescriptorUrl',
]

/** What of a provider is looser than it has to be, by its own settings. */
function loosensOf(
  { providerId, config, trustEmail }: Provider,
  mappers: readonly z.output<typeof Mapper>[],
): string[] {
  const isSaml = providerId === 'saml'
  const isOwn = /^(?:oidc|keycloak-oidc|oauth2|saml)$/.test(providerId)
  const checks = config['validateSignature'] === 'true'
  return [
    // OpenID Connect Core 1.0 §3.1.3.7: over the line that gave it a token need not be checked; one that a page brings must.
    ...(isOwn && !checks ? ['unsigned'] : []),
    ...(isSaml && config['wantAssertionsSigned'] !== 'true' ? ['unsigned-assertions'] : []),
    ...(!isSaml && isOwn && (config['issuer'] ?? '') === '' ? ['no-issuer'] : []),
    ...(!isSaml && isOwn && config['pkceEnabled'] !== 'true' ? ['no-pkce'] : []),
    ...(ADDRESSES.some((name) => /^http:/i.test(config[name] ?? '')) ? ['plaintext'] : []),
    ...(trustEmail ? ['believes-addresses'] : []),
    ...(config['isAccessTokenJWT'] === 'true' && !checks ? ['unsigned-exchange'] : []),
    ...(mappers.some(({ identityProviderMapper: of }) => of === 'oidc-hardcoded-role-idp-mapper')
      ? ['gives-role']
      : []),
  ]
}

function tellProvider(
  provider: Provider,
  mappers: readonly z.output<typeof Mapper>[],
  realm: Realm & { readonly id: string },
): Observation[] {
  const { config, alias, internalId } = provider
  if (!provider.enabled) return []
  const roles = mappers.flatMap(({ config: { role } }) => (role === undefined ? [] : [role]))
  const issuer =
    config['issuer'] ??
    config['entityId'] ??
    config['idpEntityId'] ??
    config['authorizationUrl'] ??
    config['singleSignOnServiceUrl']
  const told: Observation[] = [
    {
      kind: 'trust',
      id: { kind: 'oidc-provider', id: internalId },
      from: {
        issuer: issuer === undefined || issuer === '' ? `provider ${provider.providerId}` : issuer,
        claims: config['clientId'] === undefined ? {} : { aud: [config['clientId']] },
      },
      to: realmOf(realm.id),
      // Everybody whom it knows may come.
      wildcard: true,
      facts: {
        method: provider.providerId,
        where: `identity provider ${alias} of realm ${realm.realm}`,
        widens: loosensOf(provider, mappers),
        provesClients: provider.types.includes('CLIENT_ASSERTION') && config['supportsClientAssertions'] === 'true',
        onlyLinks: provider.linkOnly,
        givesRoles: roles,
      },
    },
  ]
  if (config['clientSecret'] !== undefined)
    told.push(
      credential({
        id: { kind: 'provider-secret', id: internalId },
        type: 'client-secret',
        name: `secret of the realm at ${alias}`,
        heldBy: known('self'),
        facts: { at: issuer ?? null },
      }),
    )
  return told
}
