/** What a role amounts to where it is given: what it may there, and whether its holder can act as service accounts. */
import { everyAsset, TYPES, type Gcp } from './assets.ts'

export type Amounts = {
  readonly level: 'use' | 'read' | 'write' | 'admin'
  /** Whether its holder can become the service accounts below: by a token, a key, or what runs as one. */
  readonly actsAs: boolean
  readonly isBasic?: boolean
}

// IAM, "Roles and permissions", "Basic roles": Owner and Editor may act as every service account of the project.
const PREDEFINED: Readonly<Record<string, Amounts>> = {
  'roles/owner': { level: 'admin', actsAs: true, isBasic: true },
  'roles/editor': { level: 'write', actsAs: true, isBasic: true },
  'roles/viewer': { level: 'read', actsAs: false, isBasic: true },
  // Who may set a policy may give themselves everything.
  'roles/resourcemanager.organizationAdmin': { level: 'admin', actsAs: true },
  'roles/resourcemanager.folderAdmin': { level: 'admin', actsAs: true },
  'roles/resourcemanager.folderIamAdmin': { level: 'admin', actsAs: true },
  'roles/resourcemanager.projectIamAdmin': { level: 'admin', actsAs: true },
  'roles/iam.securityAdmin': { level: 'admin', actsAs: true },
  'roles/iam.organizationRoleAdmin': { level: 'admin', actsAs: true },
  // "Roles for service account authentication", "Service account impersonation".
  'roles/iam.serviceAccountTokenCreator': { level: 'use', actsAs: true },
  'roles/iam.serviceAccountUser': { level: 'use', actsAs: true },
  'roles/iam.serviceAccountKeyAdmin': { level: 'write', actsAs: true },
  'roles/iam.serviceAccountAdmin': { level: 'write', actsAs: true },
  'roles/iam.workloadIdentityUser': { level: 'use', actsAs: true },
}

/** Permissions by which a service account is become ("Privilege escalation by service accounts"). */
const ACTING =
  /^iam\.(?:serviceAccounts\.(?:getAccessToken|signBlob|signJwt|actAs|implicitDelegation|setIamPolicy)|serviceAccountKeys\.create)$/
const RULING = /^(?:resourcemanager\.(?:organizations|folders|projects)\.setIamPolicy|iam\.roles\.update)$/
const READING = /\.(?:get|list|search|query|export|check|view|read)[A-Za-z]*$/

/** Custom roles by name, with what each amounts to. */
export type Roles = ReadonlyMap<string, Amounts>

export async function customRoles(gcp: Gcp, signal: AbortSignal): Promise<Roles> {
  const found = new Map<string, Amounts>()
  for await (const { resource, name } of everyAsset(gcp, { content: 'RESOURCE', types: [TYPES.role] }, signal)) {
    const data = resource?.data ?? {}
    const permissions = Array.isArray(data['includedPermissions']) ? data['includedPermissions'] : []
    const texts = permissions.filter((one) => typeof one === 'string')
    found.set(typeof data['name'] === 'string' ? data['name'] : name.replace(/^\/\/[^/]+\//, ''), amountsOf(texts))
  }
  return found
}

function amountsOf(permissions: readonly string[]): Amounts {
  const rules = permissions.some((one) => RULING.test(one))
  const isRead = permissions.every((one) => READING.test(one))
  return {
    level: rules ? 'admin' : isRead ? 'read' : 'write',
    actsAs: rules || permissions.some((one) => ACTING.test(one)),
  }
}

/** Undefined for a custom role that was not told. */
export function amountsOfRole(role: string, custom: Roles): Amounts | undefined {
  const known = PREDEFINED[role] ?? custom.get(role)
  if (known || !role.startsWith('roles/')) return known
  const word = /[A-Za-z]+$/.exec(role)?.[0] ?? ''
  if (/viewer$|reader$|accessor$|browser$/i.test(word)) return { level: 'read', actsAs: false }
  if (/admin$|editor$|writer$|developer$|creator$|owner$|publisher$|manager$/i.test(word))
    return { level: 'write', actsAs: false }
  return { level: 'use', actsAs: false }
}
