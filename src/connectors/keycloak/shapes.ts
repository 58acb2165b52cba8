/** What of Keycloak's representations is read. What is not named here is not kept, values of secrets first of all. */
import { z } from 'zod'

const Id = z.string().min(1)
/** Keycloak keeps these as sets and gives them in any order. */
const Texts = z
  .array(z.string())
  .default([])
  .transform((all) => all.toSorted())
const Words = z.record(z.string(), z.string()).default({})

export const Realm = z.object({
  id: Id.optional(),
  realm: z.string(),
  enabled: z.boolean().optional(),
  sslRequired: z.string().optional(),
  registrationAllowed: z.boolean().optional(),
  bruteForceProtected: z.boolean().optional(),
  adminPermissionsEnabled: z.boolean().optional(),
  eventsEnabled: z.boolean().optional(),
  eventsExpiration: z.number().optional(),
  enabledEventTypes: Texts,
  revokeRefreshToken: z.boolean().optional(),
  accessTokenLifespan: z.number().optional(),
  offlineSessionIdleTimeout: z.number().optional(),
  offlineSessionMaxLifespanEnabled: z.boolean().optional(),
  offlineSessionMaxLifespan: z.number().optional(),
  defaultRole: z.object({ id: Id }).optional(),
})
export type Realm = z.output<typeof Realm>

export const Client = z.object({
  id: Id,
  clientId: z.string(),
  name: z.string().optional(),
  description: z.string().optional(),
  enabled: z.boolean().default(true),
  protocol: z.string().default('openid-connect'),
  publicClient: z.boolean().default(false),
  bearerOnly: z.boolean().default(false),
  consentRequired: z.boolean().default(false),
  standardFlowEnabled: z.boolean().default(false),
  implicitFlowEnabled: z.boolean().default(false),
  directAccessGrantsEnabled: z.boolean().default(false),
  serviceAccountsEnabled: z.boolean().default(false),
  fullScopeAllowed: z.boolean().default(false),
  clientAuthenticatorType: z.string().default('client-secret'),
  secret: z.string().optional(),
  redirectUris: Texts,
  webOrigins: Texts,
  attributes: Words,
  defaultClientScopes: Texts,
  optionalClientScopes: Texts,
})
export type Client = z.output<typeof Client>

export const Role = z.object({
  id: Id,
  name: z.string(),
  description: z.string().optional(),
  composite: z.boolean(),
})
export type Role = z.output<typeof Role>

export const User = z.object({
  id: Id,
  username: z.string(),
  email: z.string().optional(),
  firstName: z.string().optional(),
  lastName: z.string().optional(),
  enabled: z.boolean().optional(),
  createdTimestamp: z.number().optional(),
  federationLink: z.string().optional(),
  totp: z.boolean().optional(),
  requiredActions: Texts,
})
export type User = z.output<typeof User>

export const Group = z.object({
  id: Id,
  name: z.string(),
  path: z.string().optional(),
  parentId: z.string().optional(),
  subGroupCount: z.number().optional(),
})
export type Group = z.output<typeof Group>

export const Session = z.object({
  id: Id,
  userId: Id,
  start: z.number().optional(),
  lastAccess: z.number().optional(),
})

export const Consent = z.object({
  clientId: z.string(),
  createdDate: z.number().optional(),
  lastUpdatedDate: z.number().optional(),
  grantedClientScopes: Texts,
})

export const Provider = z.object({
  internalId: Id,
  alias: z.string(),
  providerId: z.string(),
  enabled: z.boolean().default(true),
  trustEmail: z.boolean().default(false),
  linkOnly: z.boolean().default(false),
  config: Words,
  types: Texts,
})
export type Provider = z.output<typeof Provider>

export const Mapper = z.object({
  id: Id,
  name: z.string(),
  identityProviderMapper: z.string().default(''),
  config: Words,
})

export const Event = z.object({
  time: z.number(),
  type: z.string(),
  clientId: z.string().nullish(),
  userId: z.string().nullish(),
  sessionId: z.string().nullish(),
  ipAddress: z.string().nullish(),
  details: z.object({ refresh_token_type: z.string().nullish() }).nullish(),
})
export type Event = z.output<typeof Event>

/** Roles of a client within the scope of another; only their names are looked at. */
export const ScopeMappings = z.object({
  clientMappings: z
    .record(z.string(), z.object({ client: z.string(), mappings: z.array(Role).default([]) }))
    .default({}),
})
