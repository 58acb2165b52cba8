import { z } from 'zod'
import {
  Holes,
  grant,
  known,
  principal,
  type Item,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { list, read, whenOf, type Bao } from './api.ts'
import { holdsPolicy } from './policies.ts'
import { orMissing, tellEach } from './walk.ts'

const Words = z.record(z.string(), z.string()).nullish()
const Alias = z.object({
  id: z.string().min(1),
  name: z.string(),
  mount_accessor: z.string().optional(),
  mount_path: z.string().optional(),
  mount_type: z.string().optional(),
})
/** Written in Go: none are null, and stand there all the same. */
const Names = z.array(z.string()).nullable()
const Entity = z.object({
  id: z.string().min(1),
  name: z.string(),
  aliases: z.array(Alias),
  policies: Names,
  disabled: z.boolean().optional(),
  creation_time: z.string().nullish(),
  metadata: Words,
})
const Group = z.object({
  id: z.string().min(1),
  name: z.string(),
  type: z.string().optional(),
  policies: Names,
  member_entity_ids: Names,
  member_group_ids: Names,
  creation_time: z.string().nullish(),
  metadata: Words,
  alias: Alias.partial().nullish(),
})

export const entityOf = (id: string): NativeId => ({ kind: 'entity', id })
const groupOf = (id: string): NativeId => ({ kind: 'group', id })

/** Entities with the logins that lead to them, groups, who is in which, and the policies of both. */
export async function* readIdentity(bao: Bao, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const idsAt = (path: string) => orMissing(bao, () => list(bao, path, signal), holes, signal)
  const entities = (await idsAt('identity/entity/id')).map((id): Item => ({
    key: `entity/${id}`,
    tell: async () => {
      const found = await read(bao, `identity/entity/id/${id}`, Entity, signal)
      return found ? tellEntity(found) : []
    },
  }))
  const groups = (await idsAt('identity/group/id')).map((id): Item => ({
    key: `group/${id}`,
    tell: async () => {
      const found = await read(bao, `identity/group/id/${id}`, Group, signal)
      return found ? tellGroup(found) : []
    },
  }))
  return yield* tellEach(bao, { items: [...entities, ...groups], holes }, since, signal)
}

function tellEntity(entity: z.output<typeof Entity>): Observation[] {
  const id = entityOf(entity.id)
  const { aliases } = entity
  return [
    principal({
      id,
      type: 'account',
      name: entity.name,
      aliases: aliases.map((alias) => `${alias.mount_path ?? ''}${loginName(alias)}`),
      state: known(entity.disabled === true ? 'disabled' : 'active'),
      createdAt: whenOf(entity.creation_time),
      tags: entity.metadata ?? {},
    }),
    ...(entity.policies ?? []).map((name) => holdsPolicy(id, name)),
    ...aliases.map((alias): Observation => ({
      kind: 'trust',
      id: { kind: 'alias', id: alias.id },
      from: { issuer: alias.mount_path ?? alias.mount_accessor ?? 'unknown', claims: { name: [loginName(alias)] } },
      to: id,
      wildcard: false,
      facts: { method: alias.mount_type ?? null, mount: alias.mount_accessor ?? null },
    })),
  ]
}

/** An AppRole's login is called by its role id, which is half of what lets it in: it is not kept. */
function loginName({ mount_type: method, name }: z.output<typeof Alias>): string {
  return method === 'approle' ? '(role id)' : name
}

function tellGroup(group: z.output<typeof Group>): Observation[] {
  const id = groupOf(group.id)
  const members = [...(group.member_entity_ids ?? []).map(entityOf), ...(group.member_group_ids ?? []).map(groupOf)]
  return [
    principal({
      id,
      type: 'group',
      name: group.name,
      state: known('active'),
      createdAt: whenOf(group.creation_time),
      interactive: known(false),
      tags: group.metadata ?? {},
      facts: { type: group.type ?? null, isOfLogin: group.alias?.name !== undefined },
    }),
    ...(group.policies ?? []).map((name) => holdsPolicy(id, name)),
    ...members.map((member) =>
      grant({
        id: { kind: 'membership', id: `${group.id}/${member.kind}/${member.id}` },
        principal: member,
        on: id,
        privilege: 'MEMBER',
        level: 'use',
      }),
    ),
  ]
}
