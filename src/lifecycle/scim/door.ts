import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Deciders } from '../../kernel/http/handle.ts'
import type { Door, DoorAnswer, DoorAsked } from '../../kernel/http/door.ts'
import type { Caller, Resource } from '../../kernel/http/route.ts'
import { JsonRefused, parseStrictJson } from '../../kernel/http/strict-json.ts'
import type { Permit } from '../../kernel/permit.ts'
import type { LifecycleNeeds } from '../needs.ts'
import { bulk, MOST_BULK_BYTES } from './bulk.ts'
import type { Cursors } from './cursor.ts'
import { describe } from './discovery.ts'
import { asScimError, errorBody, noSuchResource, ScimError } from './error.ts'
import { changeGroup, createGroup, GROUP_COLUMNS, lockGroup, removeGroup } from './groups.ts'
import {
  DEFAULT_COUNT,
  etagOf,
  groupsAsDocs,
  listEverything,
  listResources,
  MOST_COUNT,
  numberOf,
  usersAsDocs,
  type ListQuery,
} from './lists.ts'
import { patched } from './patch.ts'
import { canonical, isDoc, projected, type Doc } from './resource.ts'
import { USERS, GROUPS, type ResourceType } from './schema.ts'
import { changeUser, createUser, lockUser, removeUser, USER_COLUMNS } from './users.ts'

/** What the door decides on: one action for each act. */
export const SCIM_ACTIONS = [
  'scim-user.read',
  'scim-user.create',
  'scim-user.change',
  'scim-user.delete',
  'scim-group.read',
  'scim-group.create',
  'scim-group.change',
  'scim-group.delete',
] as const

export type ScimNeeds = LifecycleNeeds & {
  readonly db: Db
  readonly cursors: Cursors
  readonly deciders: () => Deciders
}

const SCIM_PATH = '/scim/v2'
const MEDIA_TYPE = 'application/scim+json; charset=utf-8'
const BODY_BYTES = 4_000_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865) for identity providers. Each sees what it made itself and nothing else. */
export function scimDoor(needs: ScimNeeds): Door {
  return {
    path: SCIM_PATH,
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    bodyBytes: BODY_BYTES,
    async answer(asked) {
      try {
        return { mediaType: MEDIA_TYPE, ...(await answered(needs, asked)) }
      } catch (error) {
        const said = asScimError(error)
        if (!said) throw error
        const headers = said.status === 401 ? { 'www-authenticate': 'Bearer' } : retryOf(error)
        return { mediaType: MEDIA_TYPE, status: said.status, headers, body: errorBody(said) }
      }
    },
  }
}

function retryOf(error: unknown): Record<string, string> {
  const facts = error instanceof Error && 'facts' in error && isDoc(error.facts) ? error.facts : {}
  const seconds = facts['retryAfterSeconds']
  return typeof seconds === 'number' ? { 'retry-after': String(seconds) } : {}
}

async function answered(needs: ScimNeeds, asked: DoorAsked): Promise<DoorAnswer> {
  const caller = await needs.deciders().authenticate(asked.presented)
  if (!caller) throw new ScimError(401, undefined, 'Send a valid token as a bearer.')
  if (/^bulk$/i.test(asked.path)) return manyOf(needs, asked, caller)
  return routed(needs, asked, caller)
}

/** RFC 7644 §3.7: each operation as if it had been sent by itself, decided and counted like any. */
async function manyOf(needs: ScimNeeds, asked: DoorAsked, caller: Caller): Promise<DoorAnswer> {
  await permitted(needs, { asked, caller, type: USERS }, 'read')
  if (asked.method !== 'POST') throw new ScimError(405, undefined, 'This is not done here.')
  if (asked.body.length > MOST_BULK_BYTES) {
    throw new ScimError(413, undefined, `A bulk request has ${MOST_BULK_BYTES} bytes at most (maxPayloadSize).`)
  }
  return bulk(`${needs.origin()}${SCIM_PATH}`, bodyOf(asked), ({ method, path, version, data }) => {
    const headers: Readonly<Record<string, string | undefined>> = {
      'content-type': 'application/scim+json',
      'if-match': version,
    }
    const body = Buffer.from(data === undefined ? '' : JSON.stringify(data), 'utf8')
    const one = { ...asked, method, path, body, query: new URLSearchParams(), header: (name: string) => headers[name] }
    return routed(needs, one, caller)
  })
}

async function routed(needs: ScimNeeds, asked: DoorAsked, caller: Caller): Promise<DoorAnswer> {
  const [collection = '', id, ...more] = asked.path.split('/').filter((part) => part !== '')
  if (more.length > 0) throw noSuchResource()
  const type = [USERS, GROUPS].find(({ endpoint }) => endpoint.toLowerCase() === `/${collection.toLowerCase()}`)
  if (collection === '.search' && id === undefined && asked.method === 'POST') return searchAll(needs, asked, caller)
  if (!type) return elsewhere(needs, { asked, caller, collection, id })
  const call = { asked, caller, type }
  if (id === '.search' && asked.method === 'POST') return list(needs, call, searchQuery(bodyOf(asked)))
  if (id === undefined && asked.method === 'GET') return list(needs, call, queryOf(asked.query))
  if (id === undefined && asked.method === 'POST') return create(needs, call)
  if (id === undefined || asked.method === 'POST') throw new ScimError(405, undefined, 'This is not done here.')
  if (!UUID.test(id.toLowerCase())) throw noSuchResource()
  return one(needs, call, id.toLowerCase())
}

type Call = { readonly asked: DoorAsked; readonly caller: Caller; readonly type: ResourceType }

/** What this server is, which every provider may read. */
async function elsewhere(
  needs: ScimNeeds,
  call: { asked: DoorAsked; caller: Caller; collection: string; id: string | undefined },
): Promise<DoorAnswer> {
  const { asked, caller, collection, id } = call
  await permitted(needs, { asked, caller, type: USERS }, 'read')
  if (/^me$/i.test(collection)) throw new ScimError(501, undefined, 'This is not offered here.')
  if (asked.method !== 'GET') throw new ScimError(405, undefined, 'This is only read.')
  if (asked.query.has('filter')) throw new ScimError(403, undefined, 'What this server is cannot be filtered.')
  const body = describe(needs.origin(), collection, id === undefined ? undefined : decodeURIComponent(id))
  if (body === undefined) throw noSuchResource()
  return { status: 200, body }
}

type Verb = 'read' | 'create' | 'change' | 'delete'

/** Decided as every operation is, with one action for each act, on the provider that asks. */
async function permitted(needs: ScimNeeds, { asked, caller, type }: Call, verb: Verb): Promise<Permit> {
  const action = `scim-${type === USERS ? 'user' : 'group'}.${verb}`
  asked.admit(caller, action)
  return needs.deciders().decide(caller, action, providerResource(needs, caller), {})
}

/** The provider as policies know it. */
function providerResource({ providers }: Pick<LifecycleNeeds, 'providers'>, { id, name, kind }: Caller): Resource {
  const registered = (kind === 'machine' || kind === 'workload') && providers.has(name)
  return { type: 'Provider', id, attributes: { id, subjectId: id, registered } }
}

async function list(needs: ScimNeeds, call: Call, query: ListQuery): Promise<DoorAnswer> {
  const { subject } = await permitted(needs, call, 'read')
  return { status: 200, body: await listResources(needs, { type: call.type, providerId: subject.id, query }) }
}

/** RFC 7644 §3.4.3 at the root: users first, then groups, as one list. */
async function searchAll(needs: ScimNeeds, asked: DoorAsked, caller: Caller): Promise<DoorAnswer> {
  await permitted(needs, { asked, caller, type: GROUPS }, 'read')
  const { subject } = await permitted(needs, { asked, caller, type: USERS }, 'read')
  const query = searchQuery(bodyOf(asked))
  return { status: 200, body: await listEverything(needs, subject.id, query) }
}

async function create(needs: ScimNeeds, call: Call): Promise<DoorAnswer> {
  const { type, asked } = call
  const permit = await permitted(needs, call, 'create')
  const sent = canonical(type, bodyOf(asked))
  const made = await transact(needs.db, async (tx) => {
    if (isFor(permit, 'scim-user.create'))
      return docOf(needs, tx, USERS, (await createUser(tx, needs, permit, sent)).id)
    if (isFor(permit, 'scim-group.create')) {
      return docOf(needs, tx, GROUPS, (await createGroup(tx, needs, permit, sent)).id)
    }
    throw new Error('a permit of something else')
  })
  await needs.deciders().settled?.()
  return { ...answerOf(asked, type, made), status: 201 }
}

function isFor<A extends string>(permit: Permit, action: A): permit is Permit<A> {
  return permit.action === action
}

async function one(needs: ScimNeeds, call: Call, id: string): Promise<DoorAnswer> {
  const { asked, type, caller } = call
  if (asked.method === 'GET') {
    const { subject } = await permitted(needs, call, 'read')
    const found = await docOf(needs, needs.db, type, id, subject.id)
    if (asked.header('if-none-match') === versionOf(found)) return { status: 304, headers: headersOf(found) }
    return answerOf(asked, type, found)
  }
  const permit = await permitted(needs, call, asked.method === 'DELETE' ? 'delete' : 'change')
  const made = await transact(needs.db, (tx) => changed(needs, tx, { call, permit, id, providerId: caller.id }))
  await needs.deciders().settled?.()
  return made ? answerOf(asked, type, made) : { status: 204 }
}

type Changing = { readonly call: Call; readonly permit: Permit; readonly id: string; readonly providerId: string }

/** The resource after PUT or PATCH; undefined once it is deleted. */
async function changed(needs: ScimNeeds, tx: Tx, changing: Changing): Promise<Doc | undefined> {
  const { call, permit, id, providerId } = changing
  const { asked, type } = call
  if (type === USERS) {
    const row = await lockUser(tx, providerId, id)
    mustMatch(asked, row.version)
    if (isFor(permit, 'scim-user.delete')) return removeUser(tx, needs, permit, row).then(() => undefined)
    if (!isFor(permit, 'scim-user.change')) throw new Error('a permit of something else')
    const before = isDoc(row.resource) ? row.resource : {}
    await changeUser(tx, needs, permit, { row, next: nextOf(type, asked, before) })
    return docOf(needs, tx, type, id)
  }
  const row = await lockGroup(tx, providerId, id)
  mustMatch(asked, row.version)
  if (isFor(permit, 'scim-group.delete')) return removeGroup(tx, needs, permit, row).then(() => undefined)
  if (!isFor(permit, 'scim-group.change')) throw new Error('a permit of something else')
  const [before] = await groupsAsDocs({ db: tx, origin: needs.origin }, [row], true)
  await changeGroup(tx, needs, permit, { row, next: nextOf(type, asked, before?.doc ?? {}) })
  return docOf(needs, tx, type, id)
}

function nextOf(type: ResourceType, asked: DoorAsked, before: Readonly<Doc>): Doc {
  const body = bodyOf(asked)
  return asked.method === 'PUT' ? canonical(type, body) : patched(type, before, body)
}

/** RFC 7644 §3.14: who changes what somebody else changed meanwhile is told so. */
function mustMatch(asked: DoorAsked, version: number): void {
  const wanted = asked.header('if-match')
  if (wanted === undefined || wanted === '*') return
  if (!wanted.split(',').some((each) => each.trim() === etagOf(version))) {
    throw new ScimError(412, undefined, 'The resource changed meanwhile; read it again.')
  }
}

async function docOf(needs: ScimNeeds, db: Db, type: ResourceType, id: string, providerId?: string): Promise<Doc> {
  const at = { db, origin: needs.origin }
  if (type === USERS) {
    let rows = db.selectFrom('provisionedUser').select(USER_COLUMNS).where('id', '=', id).where('deletedAt', 'is', null)
    if (providerId !== undefined) rows = rows.where('providerId', '=', providerId)
    const [found] = await usersAsDocs(at, await rows.execute(), true)
    if (!found) throw noSuchResource()
    return found.doc
  }
  let rows = db.selectFrom('provisionedGroup').select(GROUP_COLUMNS).where('id', '=', id).where('deletedAt', 'is', null)
  if (providerId !== undefined) rows = rows.where('providerId', '=', providerId)
  const [found] = await groupsAsDocs(at, await rows.execute(), true)
  if (!found) throw noSuchResource()
  return found.doc
}

function answerOf({ query }: DoorAsked, type: ResourceType, doc: Doc): DoorAnswer {
  return { status: 200, headers: headersOf(doc), body: projected(type, doc, namesIn(query)) }
}

function versionOf(doc: Doc): string {
  const { meta } = doc
  return isDoc(meta) && typeof meta['version'] === 'string' ? meta['version'] : ''
}

function headersOf(doc: Doc): Record<string, string> {
  const { meta } = doc
  const location = isDoc(meta) && typeof meta['location'] === 'string' ? meta['location'] : ''
  return { etag: versionOf(doc), location }
}

function bodyOf({ body, header }: DoorAsked): unknown {
  const type = header('content-type') ?? ''
  if (!/^application\/(?:scim\+)?json(?:; ?charset=utf-8)?$/i.test(type)) {
    throw new ScimError(415, undefined, 'Send the body as application/scim+json.')
  }
  try {
    return parseStrictJson(body)
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error
    throw new ScimError(400, 'invalidSyntax', `The body cannot be taken: ${error.message}.`, { cause: error })
  }
}

const MOST_NAMES = 100

function namesOf(text: string | null): string[] {
  const names = (text ?? '').split(',').map((name) => name.trim())
  if (names.length > MOST_NAMES) throw new ScimError(400, 'invalidValue', 'Too many attributes are named.')
  return names.filter((name) => name !== '')
}

function namesIn(query: URLSearchParams): Pick<ListQuery, 'attributes' | 'excluded'> {
  return { attributes: namesOf(query.get('attributes')), excluded: namesOf(query.get('excludedAttributes')) }
}

function queryOf(query: URLSearchParams): ListQuery {
  const count = numberOf(query.get('count'), DEFAULT_COUNT)
  return {
    ...namesIn(query),
    filter: query.get('filter') ?? undefined,
    cursor: query.get('cursor') ?? undefined,
    startIndex: Math.max(1, numberOf(query.get('startIndex'), 1)),
    count: Math.min(MOST_COUNT, Math.max(0, count)),
    sortBy: query.get('sortBy') ?? undefined,
    sortOrder: query.get('sortOrder') ?? undefined,
  }
}

/** RFC 7644 §3.4.3: the same questions in a body, where nothing of them is logged. */
function searchQuery(body: unknown): ListQuery {
  if (!isDoc(body)) throw new ScimError(400, 'invalidSyntax', 'A search is a JSON object.')
  const query = new URLSearchParams()
  for (const name of [
    'filter',
    'attributes',
    'excludedAttributes',
    'startIndex',
    'count',
    'cursor',
    'sortBy',
    'sortOrder',
  ]) {
    const value = body[name]
    if (typeof value === 'string' || typeof value === 'number') query.set(name, String(value))
    if (Array.isArray(value)) query.set(name, value.filter((each) => typeof each === 'string').join(','))
  }
  return queryOf(query)
}
