/** Native ids of what IAM has, and how each of them is told. */
import { grant, known, principal, unknown, type NativeId, type Observation } from '../connector.ts'
import type { Group, Managed, Role, User } from './account.ts'

export const idOf = ({ kind, id }: { readonly kind: string; readonly id: string }): NativeId => ({ kind, id })
export const accountId = (account: string): NativeId => ({ kind: 'account', id: account })
export const rootId = (account: string): NativeId => ({ kind: 'root', id: account })
export const accessKeyId = (id: string): NativeId => ({ kind: 'access-key', id })

/** What holds rights, with what about it decides over them. */
export function tellHolder(holder: User | Group | Role): Observation {
  const unread = holder.inline.filter(({ statements }) => statements === undefined).length
  const denies = holder.inline.flatMap(({ statements = [] }) =>
    statements
      .filter(({ isAllow }) => !isAllow)
      .map(({ actions }) => `${actions.isBut ? 'all but ' : ''}${actions.of.join(', ')}`),
  )
  // Roles that a service of AWS made for itself, and only it can change.
  const isBuiltIn = holder.path.startsWith('/aws-service-role/')
  return principal({
    id: idOf(holder),
    type: holder.kind === 'user' ? 'account' : holder.kind,
    name: holder.name,
    aliases: [holder.arn],
    state: known('active'),
    createdAt: holder.createdAt,
    createdBy: unknown('unsupported'),
    // A password shows it, which the credential report tells.
    interactive: holder.kind === 'user' ? unknown('not-collected') : known(false),
    tags: holder.tags,
    facts: {
      arn: holder.arn,
      path: holder.path,
      ...(holder.boundary !== undefined && { boundary: holder.boundary }),
      ...(denies.length > 0 && { denies }),
      ...(unread > 0 && { unreadPolicies: unread }),
      ...(isBuiltIn && { isBuiltIn }),
      ...(holder.kind === 'role' &&
        holder.instanceProfiles.length > 0 && { instanceProfiles: [...holder.instanceProfiles] }),
    },
  })
}

/** Being in a group gives all that the group has. */
export function tellMembership(user: User, group: Pick<Group, 'id'>): Observation {
  return grant({
    id: { kind: 'membership', id: `${user.id}/${group.id}` },
    principal: idOf(user),
    on: { kind: 'group', id: group.id },
    privilege: 'MEMBER',
    level: 'use',
    grantable: known(false),
  })
}

/** A right to a policy is a right to all it says. */
export function tellAttachment(holder: User | Group | Role, policy: Managed): Observation {
  return grant({
    id: { kind: 'holds-policy', id: `${holder.kind}/${holder.id}/${policy.id}` },
    principal: idOf(holder),
    on: idOf(policy),
    privilege: 'POLICY',
    level: 'use',
    grantable: known(false),
    facts: { policy: policy.arn },
  })
}
