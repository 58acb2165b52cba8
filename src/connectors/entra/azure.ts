/** Roles of Azure itself, by Azure Resource Manager: who has which over subscriptions and what is in them. */
import { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  Faltering,
  grant,
  Holes,
  inBatches,
  known,
  resource,
  Unreadable,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type SourceHttp,
} from '../connector.ts'
import { addressesOf, LOGIN_MISSING, quietly, tokenFor } from './api.ts'
import { clean, levelOf, reaches, type Deny, type Permission } from './azure-rules.ts'
import { CLOUDS, type EntraSourceCredential, type EntraSourceSettings } from './settings.ts'
import { groupOf, principalOf, tenantOf, userOf } from './shapes.ts'
import type { Clock } from '../../kernel/clock.ts'

const ANSWER_BYTES = 64 * 1024 * 1024
const PAGES_MAX = 10_000
/** Denials that are named beside one right. */
const NAMED_MAX = 20

export type Azure = {
  readonly tenant: string
  /** Every item of a list; throws `Denied` with the right that lacks. */
  readonly list: <T>(asked: ListAsked<T>, signal: AbortSignal) => AsyncGenerator<T, void>
}
type ListAsked<T> = {
  readonly path: string
  readonly what: string
  readonly permission: string
  readonly shape: z.ZodType<T>
}

type Asks = { readonly azure: SourceHttp; readonly login: SourceHttp; readonly clock: Clock }

export function azureOf(asks: Asks, settings: EntraSourceSettings, credential: EntraSourceCredential): Azure {
  const [, , address] = addressesOf(settings)
  const [, , audience] = settings.azureFrom === undefined ? ['', '', address] : CLOUDS[settings.cloud]
  const ca = settings.authorities === undefined ? {} : { ca: settings.authorities }
  let held: Awaited<ReturnType<typeof tokenFor>> | undefined

  async function send(path: string, signal: AbortSignal, isAgain: boolean) {
    if (isAgain || !held || held.until <= asks.clock.now())
      held = await tokenFor(asks, settings, credential, audience, signal)
    const headers = { authorization: new Secret(`Bearer ${held.token.reveal()}`), accept: 'application/json' }
    return asks.azure({ path, headers, maxBytes: ANSWER_BYTES, ...ca }, signal)
  }

  async function* list<T>({ path, what, permission, shape }: ListAsked<T>, signal: AbortSignal) {
    const List = z.object({ value: z.array(shape), nextLink: z.string().max(20_000).nullish() })
    const seen = new Set<string>()
    for (let at: string | undefined = path; at !== undefined;) {
      signal.throwIfAborted()
      seen.add(at)
      let answer = await send(at, signal, false)
      if (answer.status === 401) answer = await send(at, signal, true)
      if (answer.status === 401) throw new Denied(LOGIN_MISSING)
      if (answer.status === 403)
        throw new Denied({ what, why: 'the application that reads has no such right', permission })
      if (answer.status !== 200) throw new Faltering(`Azure answered ${answer.status}`)
      const told = List.safeParse(quietly(answer.body)).data
      if (!told) throw new Unreadable('Azure answered in another way than its reference has it')
      yield* told.value
      at = told.nextLink ? pathIn(new URL(address).origin, told.nextLink) : undefined
      if (at !== undefined && (seen.has(at) || seen.size >= PAGES_MAX))
        throw new Unreadable('a list of Azure leads back to where it was')
    }
  }
  return { tenant: settings.tenant, list }
}

/** Our token goes where the link leads: to Azure, or nowhere. */
function pathIn(origin: string, link: string): string {
  const url = URL.parse(link)
  if (!url || url.origin !== origin || url.username !== '')
    throw new Unreadable('a list leads away from the address of Azure')
  return `${url.pathname}${url.search}`
}

const Text = z.string().nullish()
const Subscription = z.object({ subscriptionId: z.guid(), displayName: Text, state: Text })
type Subscription = z.output<typeof Subscription>
export const SUBSCRIPTIONS = {
  path: '/subscriptions?api-version=2022-12-01',
  what: 'subscriptions of Azure',
  permission: 'the role Reader at the root management group, or at each subscription',
  shape: Subscription,
}
const NONE = {
  what: SUBSCRIPTIONS.what,
  why: 'none is shown to the application that reads, which is no proof that there are none',
  permission: SUBSCRIPTIONS.permission,
}

const subscriptionOf = (id: string): NativeId => ({ kind: 'azure-subscription', id: id.toLowerCase() })

export async function subscriptionsOf(azure: Azure, signal: AbortSignal): Promise<Subscription[]> {
  const all: Subscription[] = []
  for await (const each of azure.list(SUBSCRIPTIONS, signal)) all.push(each)
  return all
}

/** The subscriptions themselves; what is in each is a scope of its own. */
export async function* readSubscriptions(azure: Azure, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const all = await subscriptionsOf(azure, signal)
  if (all.length === 0) return { status: 'denied', missing: [NONE] }
  yield {
    observations: all.map(({ subscriptionId, displayName, state }) =>
      resource({
        id: subscriptionOf(subscriptionId),
        type: 'cloud-account',
        name: displayName ?? subscriptionId,
        parent: tenantOf(azure.tenant),
        facts: { cloud: 'azure', subscription: subscriptionId, state: state ?? null },
      }),
    ),
  }
  return { status: 'complete', missing: [] }
}

const Words = z
  .array(z.string())
  .nullish()
  .transform((all) => all ?? [])
const PermissionShape = z.object({ actions: Words, notActions: Words, dataActions: Words, notDataActions: Words })
const Definition = z.object({
  name: z.string().min(1),
  properties: z.object({ roleName: Text, type: Text, permissions: z.array(PermissionShape) }),
})
const Assignment = z.object({
  id: z.string().min(1),
  properties: z.object({
    roleDefinitionId: z.string().min(1),
    principalId: z.string().min(1),
    principalType: Text,
    scope: z.string().min(1),
    condition: Text,
  }),
})
type Assignment = z.output<typeof Assignment>
const Principal = z.object({ id: z.string(), type: Text })
const Denial = z.object({
  name: z.string().min(1),
  properties: z.object({
    denyAssignmentName: Text,
    scope: z.string().min(1),
    doNotApplyToChildScopes: z.boolean().nullish(),
    permissions: z.array(PermissionShape),
    principals: z.array(Principal),
    excludePrincipals: z.array(Principal).nullish(),
    condition: Text,
  }),
})

/** "Understand Azure deny assignments": everybody is this principal, which the system defines. */
const EVERYBODY = '00000000-0000-0000-0000-000000000000'

export async function* readSubscription(
  azure: Azure,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  yield* inBatches(rightsOf(azure, id, holes, signal))
  const missing = holes.all()
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

function listsOf(subscription: string) {
  const of = <T>(list: string, what: string, shape: z.ZodType<T>): ListAsked<T> => ({
    path: `/subscriptions/${subscription}/providers/Microsoft.Authorization/${list}?api-version=2022-04-01`,
    what: `${what} of the subscription ${subscription}`,
    permission: `Microsoft.Authorization/${list}/read at the subscription (the role Reader)`,
    shape,
  })
  return {
    roles: of('roleDefinitions', 'roles', Definition),
    denies: of('denyAssignments', 'deny assignments', Denial),
    held: of('roleAssignments', 'who has roles', Assignment),
  }
}

/** What of one subscription is not shown, by the first thing of each list. */
export async function missingAt(azure: Azure, subscription: string, signal: AbortSignal): Promise<Missing[]> {
  const { roles, denies, held } = listsOf(subscription)
  const tried = [azure.list(roles, signal), azure.list(denies, signal), azure.list(held, signal)]
  const missing: Missing[] = []
  for (const list of tried)
    try {
      await list.next()
    } catch (error) {
      if (!(error instanceof Denied)) throw error
      missing.push(error.missing)
    }
  return missing
}

async function* rightsOf(
  azure: Azure,
  subscription: string,
  holes: Holes,
  signal: AbortSignal,
): AsyncGenerator<Observation[], void> {
  const of = listsOf(subscription)
  const roles = new Map<string, { readonly name: string; readonly permissions: readonly Permission[] }>()
  for await (const { name, properties } of azure.list(of.roles, signal))
    roles.set(name.toLowerCase(), { name: properties.roleName ?? name, permissions: properties.permissions })
  const denies: Deny[] = []
  try {
    for await (const each of azure.list(of.denies, signal)) denies.push(denyOf(each))
  } catch (error) {
    // Without them every right is told as it was given: too many ways, and said to be.
    if (!(error instanceof Denied)) throw error
    holes.add(error.missing)
  }
  const places = new Set<string>()
  for await (const each of azure.list(of.held, signal)) {
    const role = roles.get(each.properties.roleDefinitionId.split('/').at(-1)?.toLowerCase() ?? '')
    if (!role) holes.add({ what: 'what one of the roles lets do', why: 'its definition is not shown' })
    const place = placeOf(subscription, each.properties.scope)
    const isNew = place.told !== undefined && !places.has(place.on.id)
    places.add(place.on.id)
    yield [...(isNew && place.told ? [place.told] : []), tellRight(each, { subscription, on: place.on, role, denies })]
  }
}

function denyOf({ name, properties: it }: z.output<typeof Denial>): Deny {
  const ids = it.principals.map((each) => each.id.toLowerCase())
  const out = it.excludePrincipals ?? []
  return {
    name: it.denyAssignmentName ?? name,
    scope: it.scope,
    onlyThere: it.doNotApplyToChildScopes === true,
    permissions: it.permissions,
    principals: ids,
    isForAll: ids.includes(EVERYBODY),
    namesGroups: it.principals.some(
      ({ id, type }) => id !== EVERYBODY && type !== 'User' && type !== 'ServicePrincipal',
    ),
    excluded: out.map((each) => each.id.toLowerCase()),
    excludesGroups: out.some(({ type }) => type !== 'User' && type !== 'ServicePrincipal'),
    isConditional: Boolean(it.condition),
  }
}

/** A right given above a subscription holds in all of it. */
function placeOf(subscription: string, scope: string): { readonly on: NativeId; readonly told?: Observation } {
  const root = `/subscriptions/${subscription.toLowerCase()}`
  const path = clean(scope)
  if (!path.startsWith(`${root}/`)) return { on: subscriptionOf(subscription) }
  const on: NativeId = { kind: 'azure-scope', id: path }
  const type = /^\/subscriptions\/[^/]+\/resourcegroups\/[^/]+$/.test(path) ? 'azure-resource-group' : 'azure-resource'
  const name = scope.slice(root.length + 1)
  return { on, told: resource({ id: on, type, name, parent: subscriptionOf(subscription) }) }
}

type Right = {
  readonly subscription: string
  readonly on: NativeId
  readonly role: { readonly name: string; readonly permissions: readonly Permission[] } | undefined
  readonly denies: readonly Deny[]
}

function tellRight({ id, properties: it }: Assignment, { subscription, on, role, denies }: Right): Observation {
  const isGroup = it.principalType !== 'User' && it.principalType !== 'ServicePrincipal'
  const touching = (how: 'sure' | 'maybe') =>
    denies.filter((deny) => reaches(deny, { principal: it.principalId, isGroup, scope: it.scope }) === how)
  const [sure, maybe] = [touching('sure'), touching('maybe')]
  const names = (all: readonly Deny[]) => all.slice(0, NAMED_MAX).map(({ name }) => name)
  return grant({
    id: { kind: 'azure-role', id: `${subscription.toLowerCase()} ${clean(id)}` },
    principal: holderOf(it),
    on,
    privilege: role?.name ?? it.roleDefinitionId,
    // What a role lets do that nobody shows is not taken for nothing.
    level: role ? levelOf(role.permissions, sure) : 'admin',
    grantable: known(false),
    facts: {
      scope: it.scope,
      isConditional: Boolean(it.condition),
      deniedBy: names(sure),
      mayBeDeniedBy: names(maybe),
    },
  })
}

function holderOf({ principalId, principalType }: Assignment['properties']): NativeId {
  if (principalType === 'User') return userOf(principalId)
  if (principalType === 'Group') return groupOf(principalId)
  if (principalType === 'ServicePrincipal') return principalOf(principalId)
  return { kind: 'directory-object', id: principalId }
}
