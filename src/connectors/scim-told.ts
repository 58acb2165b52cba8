import { z } from 'zod'
import { Instant } from '../kernel/instant.ts'
import { known, unknown, type NativeId, type Observation } from './observation.ts'
import { grant, principal } from './told.ts'

const idOf = (kind: 'principal' | 'grant', id: string): NativeId => ({ kind, id })

// RFC 7643 §4: only what is kept of a user and of a group.
const Common = z.object({
  id: z.string().min(1),
  externalId: z.string().optional(),
  meta: z.object({ created: z.string().optional() }).optional(),
})
const User = Common.extend({
  userName: z.string().min(1),
  active: z.boolean().optional(),
  userType: z.string().optional(),
  emails: z.array(z.object({ value: z.string() })).optional(),
})
const Group = Common.extend({
  displayName: z.string().min(1),
  members: z.array(z.object({ value: z.string().min(1) })).optional(),
})

/** A user, or a group with its members, as RFC 7643 writes them; undefined for anything else. */
export function scimTold(whole: unknown): Observation[] | undefined {
  const user = User.safeParse(whole).data
  if (user) return [userOf(user)]
  const group = Group.safeParse(whole).data
  return group && groupOf(group)
}

function createdOf({ meta }: z.output<typeof Common>) {
  const at = meta?.created === undefined ? undefined : Instant.safeDecode(meta.created).data
  return at ? known(at) : unknown(meta?.created === undefined ? 'not-collected' : 'failed')
}

function userOf(user: z.output<typeof User>): Observation {
  const { id, userName, active, externalId, userType, emails = [] } = user
  return principal({
    id: idOf('principal', id),
    type: 'account',
    name: userName,
    aliases: emails.map(({ value }) => value),
    state: active === undefined ? unknown('not-collected') : known(active ? 'active' : 'disabled'),
    createdAt: createdOf(user),
    facts: { externalId: externalId ?? null, userType: userType ?? null },
  })
}

function groupOf(group: z.output<typeof Group>): Observation[] {
  const on = idOf('principal', group.id)
  const members = [...new Set((group.members ?? []).map(({ value }) => value))]
  return [
    principal({
      id: on,
      type: 'group',
      name: group.displayName,
      state: known('active'),
      createdAt: createdOf(group),
      interactive: known(false),
      facts: { externalId: group.externalId ?? null },
    }),
    ...members.map((member) =>
      grant({
        id: idOf('grant', JSON.stringify([member, group.id, 'member'])),
        principal: idOf('principal', member),
        on,
        privilege: 'member',
        level: 'use',
        grantable: unknown('not-collected'),
      }),
    ),
  ]
}
