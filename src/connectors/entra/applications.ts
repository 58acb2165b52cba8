/** Applications of the tenant and service principals in it, with what each proves itself by. */
import {
  credential,
  inPages,
  known,
  principal,
  resource,
  unknown,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { everyOf, pages, whenOf, type Asked, type Graph } from './api.ts'
import {
  apiOf,
  Application,
  applicationOf,
  loginOf,
  principalOf,
  ServicePrincipal,
  type Key,
  type Password,
} from './shapes.ts'

const NEED = { what: 'applications and service principals', permission: 'Application.Read.All' }

/** Tenants in which Microsoft registers its own applications ("Verify first-party Microsoft applications in sign-in reports"). */
const MICROSOFT: ReadonlySet<string> = new Set([
  'f8cdef31-a31e-4b4a-93e4-5f571e91255a',
  '72f988bf-86f1-41af-91ab-2d7cd011db47',
])

export const APPLICATIONS: Asked<Application> = {
  path: '/v1.0/applications?$select=id,appId,displayName,description,notes,tags,createdDateTime,signInAudience,publisherDomain,disabledByMicrosoftStatus,isFallbackPublicClient,serviceManagementReference,passwordCredentials,keyCredentials&$top=999',
  need: NEED,
  shape: Application,
}
export const PRINCIPALS: Asked<ServicePrincipal> = {
  path: '/v1.0/servicePrincipals?$select=id,appId,displayName,description,notes,accountEnabled,appOwnerOrganizationId,servicePrincipalType,disabledByMicrosoftStatus,verifiedPublisher,alternativeNames,tags,appRoles,oauth2PermissionScopes,passwordCredentials,keyCredentials&$top=999',
  need: NEED,
  shape: ServicePrincipal,
}

/** What others ask about a service principal. */
export type Party = {
  readonly appId: string
  readonly name: string
  readonly isForeign: boolean
  readonly isOn: boolean
  /** As Microsoft verified it; undefined where it did not. */
  readonly publisher: string | undefined
  /** Values of its application permissions, by id. */
  readonly roles: ReadonlyMap<string, string>
}

export async function partiesOf(graph: Graph, signal: AbortSignal): Promise<ReadonlyMap<string, Party>> {
  const found = new Map<string, Party>()
  for await (const sp of everyOf(graph, PRINCIPALS, signal)) found.set(sp.id, partyOf(sp, graph.settings.tenant))
  return found
}

function partyOf(sp: ServicePrincipal, tenant: string): Party {
  return {
    appId: sp.appId,
    name: sp.displayName ?? sp.appId,
    isForeign: isForeign(sp, tenant),
    isOn: isOn(sp),
    publisher: sp.verifiedPublisher?.displayName ?? undefined,
    roles: new Map(sp.appRoles.flatMap(({ id, value }) => (value ? [[id, value]] : []))),
  }
}

const ownerOf = ({ appOwnerOrganizationId }: ServicePrincipal) => (appOwnerOrganizationId ?? '').toLowerCase()
const isMicrosofts = (sp: ServicePrincipal) => MICROSOFT.has(ownerOf(sp))
const isForeign = (sp: ServicePrincipal, tenant: string) =>
  ownerOf(sp) !== '' && ownerOf(sp) !== tenant.toLowerCase() && !isMicrosofts(sp)
const isOn = ({ accountEnabled, disabledByMicrosoftStatus }: ServicePrincipal) =>
  accountEnabled !== false && !isStopped(disabledByMicrosoftStatus)
const isStopped = (status: string | null | undefined) => /^Disabled/i.test(status ?? '')

export async function* readApplications(
  graph: Graph,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  for await (const { items, next } of pages(graph, APPLICATIONS, since.cursor, signal))
    yield* inPages(
      items.flatMap((app) => tellApplication(app, graph.clock.now())),
      next,
    )
  return { status: 'complete', missing: [] }
}

function tellApplication(app: Application, now: Date): Observation[] {
  const id = applicationOf(app.appId)
  return [
    principal({
      id,
      type: 'app',
      name: app.displayName ?? app.appId,
      aliases: [app.appId],
      state: known(isStopped(app.disabledByMicrosoftStatus) ? 'disabled' : 'active'),
      createdAt: whenOf(app.createdDateTime),
      interactive: known(false),
      tags: tagsOf({ description: app.description, notes: app.notes, service: app.serviceManagementReference }),
      facts: {
        objectId: app.id,
        audience: app.signInAudience ?? null,
        isForOtherTenants: app.signInAudience ? app.signInAudience !== 'AzureADMyOrg' : null,
        publisherDomain: app.publisherDomain ?? null,
        isPublic: app.isFallbackPublicClient ?? null,
        tags: app.tags,
      },
    }),
    ...tellLogins(app, { id, of: app.appId, name: app.displayName ?? app.appId, now }),
  ]
}

function tagsOf(texts: Readonly<Record<string, string | null | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).flatMap(([name, text]) => (text ? [[name, text]] : [])))
}

/** `servicePrincipalType`: what runs in Azure has one that nobody can hold the secret of. */
const TYPES: Readonly<Record<string, 'workload' | 'service' | 'app'>> = {
  ManagedIdentity: 'workload',
  Legacy: 'service',
  SocialIdp: 'app',
}

export async function* readPrincipals(
  graph: Graph,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  for await (const { items, next } of pages(graph, PRINCIPALS, since.cursor, signal))
    yield* inPages(
      items.flatMap((sp) => tellPrincipal(sp, graph)),
      next,
    )
  return { status: 'complete', missing: [] }
}

function tellPrincipal(sp: ServicePrincipal, { settings, clock }: Graph): Observation[] {
  const id = principalOf(sp.id)
  const name = sp.displayName ?? sp.appId
  const foreign = isForeign(sp, settings.tenant)
  const type = TYPES[sp.servicePrincipalType ?? ''] ?? (foreign || isMicrosofts(sp) ? 'app' : 'service')
  const isManaged = sp.servicePrincipalType === 'ManagedIdentity'
  // Where it stands in Azure: "Retrieve service principals by subscription, full resource ids for managed identities".
  const place = sp.alternativeNames.find((text) => text.startsWith('/subscriptions/'))
  return [
    principal({
      id,
      type,
      name,
      aliases: [sp.appId],
      state: known(isOn(sp) ? 'active' : 'disabled'),
      interactive: known(false),
      tags: tagsOf({
        description: sp.description,
        notes: sp.notes,
        vendor: foreign ? (sp.verifiedPublisher?.displayName ?? name) : undefined,
      }),
      facts: {
        kind: sp.servicePrincipalType ?? null,
        owner: sp.appOwnerOrganizationId ?? null,
        isForeign: foreign,
        publisher: sp.verifiedPublisher?.displayName ?? null,
        isPublisherVerified: (sp.verifiedPublisher?.verifiedPublisherId ?? null) !== null,
        isBuiltIn: isMicrosofts(sp),
        runsAt: place ?? null,
        tags: sp.tags,
      },
    }),
    ...(sp.appRoles.length + sp.oauth2PermissionScopes.length > 0
      ? [resource({ id: apiOf(sp.id), type: 'api', name, facts: { appId: sp.appId } })]
      : []),
    ...(isManaged || isMicrosofts(sp) || sp.servicePrincipalType === 'Legacy' ? [] : [tellBacking(sp, foreign)]),
    ...tellLogins(sp, { id, of: sp.id, name, now: clock.now(), isManaged }),
  ]
}

/** Whoever proves to be the application acts as its service principal; what another tenant has registered it proves there. */
function tellBacking(sp: ServicePrincipal, foreign: boolean): Observation {
  return {
    kind: 'trust',
    id: { kind: foreign ? 'foreign-application' : 'application-of', id: sp.id },
    from: foreign
      ? { issuer: `tenant ${sp.appOwnerOrganizationId ?? ''}`, claims: { application: [sp.appId] } }
      : applicationOf(sp.appId),
    to: principalOf(sp.id),
    wildcard: false,
    facts: { where: `service principal ${sp.displayName ?? sp.appId}` },
  }
}

type Owner = {
  readonly id: NativeId
  readonly of: string
  readonly name: string
  readonly now: Date
  /** Its certificates are Azure's, which turns them over by itself. */
  readonly isManaged?: boolean
}

function tellLogins(
  { passwordCredentials, keyCredentials }: Pick<Application, 'passwordCredentials' | 'keyCredentials'>,
  owner: Owner,
): Observation[] {
  if (owner.isManaged === true) return []
  return [
    ...passwordCredentials.map((each) => tellSecret(each, owner)),
    // A key to sign with is for what the directory says, and proves nobody.
    ...keyCredentials.filter(({ usage }) => usage !== 'Sign').map((each) => tellKey(each, owner)),
  ]
}

function aboutOf(login: Password | Key, owner: Owner) {
  const [made, ends] = [whenOf(login.startDateTime), whenOf(login.endDateTime)]
  const isOver = ends.known && ends.value <= owner.now
  const isEarly = made.known && made.value > owner.now
  return {
    principal: known(owner.id),
    name: `${owner.name}: ${login.displayName || login.keyId}`,
    state: known(isOver ? ('expired' as const) : isEarly ? ('inactive' as const) : ('active' as const)),
    createdAt: made,
    rotatedAt: made,
    expiresAt: login.endDateTime ? ends : known('never' as const),
    bindings: known([]),
  }
}

function tellSecret(secret: Password, owner: Owner): Observation {
  return credential({
    id: loginOf('client-secret', owner.of, secret.keyId),
    type: 'client-secret',
    ...aboutOf(secret, owner),
    fingerprints: unknown('unsupported'),
    // Its first three characters, as the portal shows them.
    facts: { keyId: secret.keyId, hint: secret.hint ?? null },
  })
}

/** A thumbprint of a certificate (SHA-1) is what it is called where nobody called it otherwise. */
const THUMBPRINT = /^[0-9A-F]{40}$/
/** The same twenty bytes as Graph writes other binary values. */
const IN_BASE64 = /^[A-Za-z0-9+/]{27}=$/

function tellKey(key: Key, owner: Owner): Observation {
  const name = key.customKeyIdentifier ?? ''
  const print = (IN_BASE64.test(name) ? Buffer.from(name, 'base64').toString('hex') : name).toUpperCase()
  const isSecret = key.type === 'Symmetric'
  return credential({
    id: loginOf(isSecret ? 'client-secret' : 'client-certificate', owner.of, key.keyId),
    type: isSecret ? 'client-secret' : 'certificate',
    ...aboutOf(key, owner),
    fingerprints: THUMBPRINT.test(print) ? known([{ alg: 'key-id', value: `x5t:${print}` }]) : unknown('unsupported'),
    facts: { keyId: key.keyId, kind: key.type ?? null, usage: key.usage ?? null },
  })
}
