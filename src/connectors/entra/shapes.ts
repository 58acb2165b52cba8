/** What of Microsoft Graph's resources (v1.0) is read. What is not named here is not kept. */
import { z } from 'zod'
import type { NativeId } from '../connector.ts'

const Id = z.string().min(1).max(1_000)
const Text = z.string().nullish()
const Texts = z
  .array(z.string())
  .default([])
  .transform((all) => all.toSorted())

// passwordCredential: `secretText` is given once, when it is made, and is not here.
const Password = z.object({
  keyId: Id,
  displayName: Text,
  hint: Text,
  startDateTime: Text,
  endDateTime: Text,
})
export type Password = z.output<typeof Password>

// keyCredential: `key` is the public half and is not asked for.
const Key = z.object({
  keyId: Id,
  displayName: Text,
  type: Text,
  usage: Text,
  customKeyIdentifier: Text,
  startDateTime: Text,
  endDateTime: Text,
})
export type Key = z.output<typeof Key>

const Publisher = z.object({ displayName: Text, verifiedPublisherId: Text }).nullish()
const Logins = { passwordCredentials: z.array(Password).default([]), keyCredentials: z.array(Key).default([]) }

export const Application = z.object({
  id: Id,
  appId: Id,
  displayName: Text,
  description: Text,
  notes: Text,
  tags: Texts,
  createdDateTime: Text,
  signInAudience: Text,
  publisherDomain: Text,
  disabledByMicrosoftStatus: Text,
  isFallbackPublicClient: z.boolean().nullish(),
  serviceManagementReference: Text,
  ...Logins,
})
export type Application = z.output<typeof Application>

export const ServicePrincipal = z.object({
  id: Id,
  appId: Id,
  displayName: Text,
  description: Text,
  notes: Text,
  accountEnabled: z.boolean().nullish(),
  appOwnerOrganizationId: Text,
  servicePrincipalType: Text,
  disabledByMicrosoftStatus: Text,
  verifiedPublisher: Publisher,
  alternativeNames: Texts,
  tags: Texts,
  appRoles: z.array(z.object({ id: Id, value: Text })).default([]),
  oauth2PermissionScopes: z.array(z.object({ id: Id })).default([]),
  ...Logins,
})
export type ServicePrincipal = z.output<typeof ServicePrincipal>

// federatedIdentityCredential: one that matches by an expression has no subject.
export const Federated = z.object({
  id: Id,
  name: Text,
  issuer: z.string(),
  subject: Text,
  audiences: Texts,
  claimsMatchingExpression: z.object({ value: Text }).nullish(),
})
export type Federated = z.output<typeof Federated>

// oAuth2PermissionGrant.
export const Consent = z.object({
  id: Id,
  clientId: Id,
  consentType: z.string(),
  principalId: Text,
  resourceId: Id,
  scope: Text,
})
export type Consent = z.output<typeof Consent>

// appRoleAssignment.
export const RoleAssigned = z.object({
  id: Id,
  appRoleId: Id,
  principalId: Id,
  resourceId: Id,
  resourceDisplayName: Text,
  createdDateTime: Text,
})
export type RoleAssigned = z.output<typeof RoleAssigned>

// directoryObject, as a member or owner of something.
export const DirectoryObject = z.object({ id: Id, '@odata.type': Text, appId: Text })
export type DirectoryObject = z.output<typeof DirectoryObject>

// unifiedRoleDefinition.
export const RoleDefinition = z.object({
  id: Id,
  templateId: Text,
  displayName: Text,
  description: Text,
  isBuiltIn: z.boolean().nullish(),
  isEnabled: z.boolean().nullish(),
  rolePermissions: z.array(z.object({ allowedResourceActions: z.array(z.string()).default([]) })).default([]),
})
export type RoleDefinition = z.output<typeof RoleDefinition>

// unifiedRoleAssignment.
export const RoleAssignment = z.object({
  id: Id,
  roleDefinitionId: Id,
  principalId: Id,
  directoryScopeId: Text,
  principal: DirectoryObject.nullish(),
})
export type RoleAssignment = z.output<typeof RoleAssignment>

export const Group = z.object({ id: Id, displayName: Text, description: Text, createdDateTime: Text })
export type Group = z.output<typeof Group>

export const User = z.object({
  id: Id,
  userPrincipalName: Text,
  displayName: Text,
  mail: Text,
  accountEnabled: z.boolean().nullish(),
  userType: Text,
  createdDateTime: Text,
  onPremisesSyncEnabled: z.boolean().nullish(),
})
export type User = z.output<typeof User>

export const Organization = z.object({
  id: Id,
  displayName: Text,
  createdDateTime: Text,
  verifiedDomains: z.array(z.object({ name: z.string() })).default([]),
})

const SignIn = z.object({ lastSignInDateTime: Text }).nullish()
// servicePrincipalSignInActivity and appCredentialSignInActivity, both beta.
export const PrincipalActivity = z.object({
  appId: Id,
  applicationAuthenticationClientSignInActivity: SignIn,
  delegatedClientSignInActivity: SignIn,
})
export const LoginActivity = z.object({
  keyId: Id,
  keyType: Text,
  appId: Id,
  servicePrincipalObjectId: Text,
  credentialOrigin: Text,
  signInActivity: SignIn,
})

// directoryAudit.
export const Audit = z.object({
  activityDateTime: z.string(),
  activityDisplayName: z.string(),
  initiatedBy: z
    .object({
      app: z.object({ servicePrincipalId: Text }).nullish(),
      user: z.object({ id: Text }).nullish(),
    })
    .nullish(),
})

export const tenantOf = (id: string): NativeId => ({ kind: 'tenant', id })
/** By its `appId`, which is given once for all of Entra ID; the object of it in a tenant has another id. */
export const applicationOf = (appId: string): NativeId => ({ kind: 'application', id: appId })
export const principalOf = (id: string): NativeId => ({ kind: 'service-principal', id })
export const userOf = (id: string): NativeId => ({ kind: 'user', id })
export const groupOf = (id: string): NativeId => ({ kind: 'group', id })
export const roleOf = (id: string): NativeId => ({ kind: 'role', id })
/** What a service principal offers to others, which is not who it is. */
export const apiOf = (id: string): NativeId => ({ kind: 'api', id })
/** Of an application by its `appId`, of a service principal by its id. */
export const loginOf = (kind: 'client-secret' | 'client-certificate', of: string, keyId: string): NativeId => ({
  kind,
  id: `${of}/${keyId}`,
})

/** A member or owner, by the type that Graph names beside it. */
export function objectOf({ id, appId, '@odata.type': type }: DirectoryObject): NativeId {
  const kind = /^#microsoft\.graph\.(\w+)$/.exec(type ?? '')?.[1]
  if (kind === 'user') return userOf(id)
  if (kind === 'group') return groupOf(id)
  if (kind === 'servicePrincipal') return principalOf(id)
  if (kind === 'application' && appId) return applicationOf(appId)
  return { kind: 'directory-object', id }
}
