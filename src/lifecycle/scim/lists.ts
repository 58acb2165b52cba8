import { sql } from 'kysely'
import type { Db } from '../../kernel/db.ts'
import { invalidValue, ScimError } from './error.ts'
import { demanded, matches, parseFilter, type Filter } from './filter.ts'
import { GROUP_COLUMNS, type GroupRow } from './groups.ts'
import type { Cursors } from './cursor.ts'
import { isDoc, projected, type Doc } from './resource.ts'
import { ENTERPRISE, GROUP, GROUPS, USER, USERS, type ResourceType } from './schema.ts'
import { inOrder, parseSort, sortKey, sortsBy, type Sort } from './sort.ts'
import { fold, USER_COLUMNS, type UserRow } from './users.ts'

/** RFC 7644 §3.4.2: what a client asks of a list. */
export type ListQuery = {
  readonly filter: string | undefined
  readonly attributes: readonly string[]
  readonly excluded: readonly string[]
  /** RFC 9865 §2: undefined where pages are asked for by number; the empty one begins. */
  readonly cursor: string | undefined
  readonly startIndex: number
  readonly count: number
  readonly sortBy: string | undefined
  readonly sortOrder: string | undefined
}

export const DEFAULT_COUNT = 100
export const MOST_COUNT = 500
/** What is sorted is read whole first; more than this is asked for by a filter, or unsorted. */
const MOST_SORTED = 20_000
/** Rows read at once while a filter is held against them. */
const BATCH = 500
const LIST = 'urn:ietf:params:scim:api:messages:2.0:ListResponse'

export type ListNeeds = { readonly db: Db; readonly origin: () => string; readonly cursors: Cursors }

type Source = {
  readonly type: ResourceType
  /** Rows behind an id, in the order of ids, narrowed by what an index knows. */
  readonly rows: (after: string, limit: number) => Promise<readonly { readonly id: string; readonly doc: Doc }[]>
  readonly count: () => Promise<number>
  /** Some of them by their ids, in no order. */
  readonly byIds: (ids: readonly string[]) => Promise<readonly { readonly id: string; readonly doc: Doc }[]>
}

type ListAnswer = {
  readonly schemas: readonly string[]
  readonly totalResults: number
  readonly itemsPerPage: number
  readonly startIndex?: number
  readonly nextCursor?: string
  readonly Resources: readonly Doc[]
}

/** Users, then groups, as one list by number. A filter that one of them does not have finds none of it. */
export async function listEverything(needs: ListNeeds, providerId: string, query: ListQuery): Promise<ListAnswer> {
  if (query.cursor !== undefined) throw new ScimError(400, 'invalidCursor', 'Here pages are asked for by number.')
  if (query.sortBy !== undefined) throw invalidValue('Users and groups are sorted each by themselves.')
  const found: ListAnswer[] = []
  for (const type of [USERS, GROUPS]) {
    const before = found.reduce((sum, { totalResults }) => sum + totalResults, 0)
    const taken = found.reduce((sum, { itemsPerPage }) => sum + itemsPerPage, 0)
    const part = { ...query, startIndex: Math.max(1, query.startIndex - before), count: query.count - taken }
    try {
      found.push(await listResources(needs, { type, providerId, query: part }))
    } catch (error) {
      const isOther = error instanceof ScimError && error.scimType === 'invalidFilter'
      if (!isOther || (type === GROUPS && found.length === 0)) throw error
    }
  }
  const Resources = found.flatMap((each) => each.Resources)
  return {
    schemas: [LIST],
    totalResults: found.reduce((sum, { totalResults }) => sum + totalResults, 0),
    itemsPerPage: Resources.length,
    startIndex: query.startIndex,
    Resources,
  }
}

/** A page of users or groups of one provider; another's are not there for it. */
export async function listResources(
  needs: ListNeeds,
  { type, providerId, query }: { readonly type: ResourceType; readonly providerId: string; readonly query: ListQuery },
): Promise<ListAnswer> {
  const filter = query.filter === undefined ? undefined : parseFilter(type, query.filter)
  const wants = wantsOf(query, filter)
  const sourceOf = type === USERS ? users : groups
  const source = sourceOf(needs, providerId, filter, wants)
  const sort = parseSort(type, query.sortBy, query.sortOrder)
  if (sort) {
    if (query.cursor !== undefined) throw invalidValue('A list that is sorted is asked for by number, not by cursor.')
    const keys = sourceOf(needs, providerId, filter, (name) => sortsBy(sort, name) || asks(filter, name))
    return sortedList({ keys, source, type, filter, sort, query })
  }
  const bound = `${type.name} ${providerId} ${query.filter ?? ''}`
  const from = query.cursor === undefined || query.cursor === '' ? '' : needs.cursors.read(query.cursor, bound)
  const isByCursor = query.cursor !== undefined
  const skip = isByCursor ? 0 : query.startIndex - 1
  const page = await pageOf(source, filter, { from, skip, count: query.count, isByCursor })
  const last = page.found.at(-1)
  return {
    schemas: [LIST],
    totalResults: page.total,
    itemsPerPage: page.found.length,
    ...(!isByCursor && { startIndex: query.startIndex }),
    ...(isByCursor && page.isMore && last && { nextCursor: needs.cursors.make(last.id, bound) }),
    Resources: page.found.map(({ doc }) => projected(type, doc, query)),
  }
}

type Sorting = {
  /** What is read of all: no more than the order and the filter need. */
  readonly keys: Source
  readonly source: Source
  readonly type: ResourceType
  readonly filter: Filter | undefined
  readonly sort: Sort
  readonly query: ListQuery
}

/** Everything that matches is put in order by its key alone; of the page the resources are read. */
async function sortedList({ keys, source, type, filter, sort, query }: Sorting): Promise<ListAnswer> {
  const found: { id: string; key: string | undefined }[] = []
  for (let after = ''; ;) {
    const rows = await keys.rows(after, BATCH)
    for (const { id, doc } of rows) if (!filter || matches(filter, doc)) found.push({ id, key: sortKey(sort, doc) })
    if (found.length > MOST_SORTED) {
      throw new ScimError(400, 'tooMany', `More than ${MOST_SORTED} cannot be sorted: narrow it by a filter.`)
    }
    after = rows.at(-1)?.id ?? after
    if (rows.length < BATCH) break
  }
  found.sort((a, b) => inOrder(sort, a, b))
  const ids = found.slice(query.startIndex - 1, query.startIndex - 1 + query.count).map(({ id }) => id)
  const read = ids.length === 0 ? [] : await source.byIds(ids)
  const docs = new Map(read.map(({ id, doc }): [string, Doc] => [id, doc]))
  const page = ids.flatMap((id) => {
    const doc = docs.get(id)
    return doc ? [doc] : []
  })
  return {
    schemas: [LIST],
    totalResults: found.length,
    itemsPerPage: page.length,
    startIndex: query.startIndex,
    Resources: page.map((doc) => projected(type, doc, query)),
  }
}

type Page = { readonly found: { id: string; doc: Doc }[]; readonly total: number; readonly isMore: boolean }
type Cut = { readonly from: string; readonly skip: number; readonly count: number; readonly isByCursor: boolean }

/** Rows are held against the filter one batch after the other; the total is of all that match, whatever the page. */
async function pageOf(source: Source, filter: Filter | undefined, cut: Cut): Promise<Page> {
  const found: { id: string; doc: Doc }[] = []
  const total = filter ? undefined : await source.count()
  let seen = 0
  let isMore = false
  let after = filter ? '' : cut.from
  for (;;) {
    const rows = await source.rows(after, BATCH)
    for (const row of rows) {
      if (filter && !matches(filter, row.doc)) continue
      seen += 1
      if (row.id <= cut.from || seen <= cut.skip) continue
      if (found.length < cut.count) found.push(row)
      else isMore = true
    }
    after = rows.at(-1)?.id ?? after
    const isEnough = total !== undefined && (isMore || found.length >= Math.max(1, cut.count))
    if (rows.length < BATCH || isEnough) break
  }
  if (total !== undefined && found.length === cut.count && cut.count > 0 && !isMore) {
    isMore = (await source.rows(found.at(-1)?.id ?? after, 1)).length > 0
  }
  return { found, total: total ?? seen, isMore }
}

/** Whether memberships have to be read: Entra asks for groups without them. */
function wantsOf({ attributes, excluded }: ListQuery, filter: Filter | undefined): (name: string) => boolean {
  return (name) => {
    const isNamed = (text: string) => text.toLowerCase().split('.')[0] === name
    if (asks(filter, name)) return true
    return attributes.length > 0 ? attributes.some(isNamed) : !excluded.some((text) => text.toLowerCase() === name)
  }
}

function asks(filter: Filter | undefined, name: string): boolean {
  return filter !== undefined && mentions(filter, name)
}

function mentions(filter: Filter, name: string): boolean {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return mentions(filter.left, name) || mentions(filter.right, name)
    case 'not':
      return mentions(filter.of, name)
    case 'some':
      return filter.on.name === name
    case 'present':
    case 'compare':
    default:
      return filter.on.attribute.name === name
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const NOBODY = '00000000-0000-0000-0000-000000000000'

/** An id that a filter demands; what has not the form of one is nobody's. */
function demandedId(filter: Filter | undefined): string | undefined {
  const id = filter && demanded(filter, 'id')
  return id === undefined || UUID.test(id) ? id : NOBODY
}

function users(
  needs: ListNeeds,
  providerId: string,
  filter: Filter | undefined,
  wants: (name: string) => boolean,
): Source {
  const userName = filter && demanded(filter, 'userName')
  const externalId = filter && demanded(filter, 'externalId')
  const id = demandedId(filter)
  let rows = needs.db.selectFrom('provisionedUser').where('providerId', '=', providerId).where('deletedAt', 'is', null)
  if (userName !== undefined) rows = rows.where('userName', '=', fold(userName))
  if (externalId !== undefined) rows = rows.where('externalId', '=', externalId)
  if (id !== undefined) rows = rows.where('id', '=', id)
  return {
    type: USERS,
    async rows(after, limit) {
      let page = rows.select(USER_COLUMNS).orderBy('id').limit(limit)
      if (after !== '') page = page.where('id', '>', after)
      return usersAsDocs(needs, await page.execute(), wants('groups'))
    },
    byIds: async (ids) =>
      usersAsDocs(needs, await rows.select(USER_COLUMNS).where('id', 'in', ids).execute(), wants('groups')),
    count: async () => {
      const { count } = await rows.select((is) => is.fn.countAll<string>().as('count')).executeTakeFirstOrThrow()
      return Number(count)
    },
  }
}

function groups(
  needs: ListNeeds,
  providerId: string,
  filter: Filter | undefined,
  wants: (name: string) => boolean,
): Source {
  const externalId = filter && demanded(filter, 'externalId')
  const id = demandedId(filter)
  let rows = needs.db.selectFrom('provisionedGroup').where('providerId', '=', providerId).where('deletedAt', 'is', null)
  if (externalId !== undefined) rows = rows.where('externalId', '=', externalId)
  if (id !== undefined) rows = rows.where('id', '=', id)
  return {
    type: GROUPS,
    async rows(after, limit) {
      let page = rows.select(GROUP_COLUMNS).orderBy('id').limit(limit)
      if (after !== '') page = page.where('id', '>', after)
      return groupsAsDocs(needs, await page.execute(), wants('members'))
    },
    byIds: async (ids) =>
      groupsAsDocs(needs, await rows.select(GROUP_COLUMNS).where('id', 'in', ids).execute(), wants('members')),
    count: async () => {
      const { count } = await rows.select((is) => is.fn.countAll<string>().as('count')).executeTakeFirstOrThrow()
      return Number(count)
    },
  }
}

type Listed = { readonly of: string; readonly value: string; readonly display: string }

export async function usersAsDocs(
  { db, origin }: Pick<ListNeeds, 'db' | 'origin'>,
  rows: readonly UserRow[],
  withGroups: boolean,
): Promise<{ id: string; doc: Doc }[]> {
  const groupsOf = withGroups ? await listedBy(db, rows, 'groups') : new Map<string, Listed[]>()
  return rows.map((row) => {
    const kept = isDoc(row.resource) ? row.resource : {}
    const groups = (groupsOf.get(row.id) ?? []).map(({ value, display }) => ({
      value,
      display,
      $ref: `${origin()}/scim/v2/Groups/${value}`,
    }))
    const doc: Doc = {
      schemas: ENTERPRISE in kept ? [USER, ENTERPRISE] : [USER],
      id: row.id,
      ...kept,
      ...(groups.length > 0 && { groups }),
      meta: metaOf(USERS, row, origin()),
    }
    return { id: row.id, doc }
  })
}

export async function groupsAsDocs(
  { db, origin }: Pick<ListNeeds, 'db' | 'origin'>,
  rows: readonly GroupRow[],
  withMembers: boolean,
): Promise<{ id: string; doc: Doc }[]> {
  const membersOf = withMembers ? await listedBy(db, rows, 'members') : new Map<string, Listed[]>()
  return rows.map((row) => {
    const members = (membersOf.get(row.id) ?? []).map(({ value }) => ({
      value,
      type: 'User',
      $ref: `${origin()}/scim/v2/Users/${value}`,
    }))
    const doc: Doc = {
      schemas: [GROUP],
      id: row.id,
      ...(row.externalId !== null && { externalId: row.externalId }),
      displayName: row.displayName,
      ...(members.length > 0 && { members }),
      meta: metaOf(GROUPS, row, origin()),
    }
    return { id: row.id, doc }
  })
}

/** The groups of users, or the members of groups, in one question for all of them. */
async function listedBy(
  db: Db,
  rows: readonly { readonly id: string }[],
  what: 'groups' | 'members',
): Promise<Map<string, Listed[]>> {
  const ids = rows.map(({ id }) => id)
  const found = new Map<string, Listed[]>()
  if (ids.length === 0) return found
  const isGroups = what === 'groups'
  const { rows: listed } = await sql<Listed>`
    select ${isGroups ? sql`m.user_id` : sql`m.group_id`} as of,
           ${isGroups ? sql`g.id` : sql`u.id`} as value,
           ${isGroups ? sql`g.display_name` : sql`coalesce(u.resource ->> 'displayName', u.resource ->> 'userName')`} as display
      from provisioned_member m
      join provisioned_user u on u.id = m.user_id and u.deleted_at is null
      join provisioned_group g on g.id = m.group_id and g.deleted_at is null
     where m.is_member and ${isGroups ? sql`m.user_id` : sql`m.group_id`} = any(${ids}::uuid[])
     order by 1, 2`.execute(db)
  for (const each of listed) {
    const known = found.get(each.of)
    if (known) known.push(each)
    else found.set(each.of, [each])
  }
  return found
}

function metaOf(
  { name, endpoint }: ResourceType,
  { id, createdAt, modifiedAt, version }: { id: string; createdAt: Date; modifiedAt: Date; version: number },
  origin: string,
): Doc {
  return {
    resourceType: name,
    created: createdAt.toISOString(),
    lastModified: modifiedAt.toISOString(),
    location: `${origin}/scim/v2${endpoint}/${id}`,
    version: etagOf(version),
  }
}

/** RFC 7644 §3.14. */
export function etagOf(version: number): string {
  return `W/"${version}"`
}

/** RFC 7644 §3.4.2: a number that is too small is as if it was the smallest; anything else than a number is wrong. */
export function numberOf(text: string | null, otherwise: number): number {
  if (text === null) return otherwise
  if (!/^-?\d{1,9}$/.test(text)) throw new ScimError(400, 'invalidValue', 'startIndex and count are whole numbers.')
  return Number(text)
}
