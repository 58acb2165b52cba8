import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { member, namesIn, type Check } from './certification.ts'

/** What the working group published for one of its interop events: requests with the answers that all took part agreed on. */
export type Interop = {
  readonly name: string
  /** The policies that were written for it. */
  readonly scenario: 'todo' | 'gateways' | 'search'
  readonly vocabulary: unknown
  readonly checks: readonly Check[]
}

const Published = z.object({ request: z.record(z.string(), z.unknown()), expected: z.unknown() })
const Decisions = z.object({
  evaluation: z.array(Published).default([]),
  evaluations: z.array(Published).default([]),
  search: z.array(Published).default([]),
})

/** The users of the to-do scenario, by the local part of their address: only the address and the roles are in its text. */
const ROLES: Readonly<Record<string, readonly string[]>> = {
  rick: ['admin', 'evil_genius'],
  morty: ['editor'],
  summer: ['editor'],
  beth: ['viewer'],
  jerry: ['viewer'],
}

/** Reads them from a checkout of openid/authzen; nothing of it is kept. */
export function readInterops(folder: string): Interop[] {
  const todo = 'interop/authzen-todo-backend/test'
  const users = todoUsers(read(folder, `${todo}/decisions-authorization-api-1_0-00.json`))
  const records = searchVocabulary(folder)
  const demo = 'interop/authzen-search-demo/test'
  const of = (name: string, scenario: Interop['scenario'], vocabulary: unknown, checks: readonly Check[]) => {
    return { name, scenario, vocabulary, checks }
  }
  return [
    of('to-do, draft 01', 'todo', users, evaluations(folder, `${todo}/decisions-authorization-api-1_0-01.json`)),
    of('to-do, draft 02', 'todo', users, evaluations(folder, `${todo}/decisions-authorization-api-1_0-02.json`)),
    of(
      'API gateways',
      'gateways',
      {
        ...users,
        types: { identity: 'User' },
        actions: { GET: 'http.get', POST: 'http.post', PUT: 'http.put', DELETE: 'http.delete' },
      },
      evaluations(folder, 'interop/authzen-api-gateways/test-harness/test/decisions.json'),
    ),
    of('search, subjects', 'search', records, searches(folder, `${demo}/subject/results.json`, 'subject')),
    of('search, resources', 'search', records, searches(folder, `${demo}/resource/results.json`, 'resource')),
    of('search, actions', 'search', records, searches(folder, `${demo}/action/results.json`, 'action')),
    of(
      'identity provider',
      'search',
      records,
      searches(folder, 'interop/authzen-idp/test-harness/src/results.json', 'resource'),
    ),
  ]
}

function read(folder: string, path: string): unknown {
  return JSON.parse(readFileSync(join(folder, path), 'utf8'))
}

function evaluations(folder: string, path: string): Check[] {
  const { evaluation, evaluations: batches } = Decisions.parse(read(folder, path))
  return [
    ...evaluation.map(({ request, expected }, at): Check => ({
      id: `evaluation ${at + 1}`,
      run: async (peer) => {
        const { status, body } = await peer.post('/access/v1/evaluation', request)
        return status === 200 && member(body, 'decision') === expected
          ? undefined
          : `answered ${status}, not ${String(expected)}`
      },
    })),
    ...batches.map(({ request, expected }, at): Check => ({
      id: `evaluations ${at + 1}`,
      run: async (peer) => {
        const { body } = await peer.post('/access/v1/evaluations', request)
        const found = decisionsIn(member(body, 'evaluations'))
        const wanted = decisionsIn(expected)
        return wanted.length > 0 && found.join() === wanted.join()
          ? undefined
          : `answered ${found.join()}, not ${wanted.join()}`
      },
    })),
  ]
}

function decisionsIn(value: unknown): unknown[] {
  return Array.isArray(value) ? value.map((each) => member(each, 'decision')) : []
}

/** The same things, in whatever order. */
function searches(folder: string, path: string, what: 'subject' | 'resource' | 'action'): Check[] {
  const { evaluation, search } = Decisions.parse(read(folder, path))
  return [...evaluation, ...search].map(({ request, expected }, at): Check => ({
    id: `search ${at + 1}`,
    run: async (peer) => {
      const { status, body } = await peer.post(`/access/v1/search/${what}`, request)
      const [found, wanted] = [namesIn(body).sort().join(), namesIn(expected).sort().join()]
      return status === 200 && found === wanted ? undefined : `answered ${status} [${found}], not [${wanted}]`
    },
  }))
}

/** The first draft names each user by address and by the identity that later drafts use; both stand for the same roles. */
function todoUsers(published: unknown): { entities: { User: Record<string, unknown> } } {
  const users: Record<string, unknown> = {}
  for (const { request } of Decisions.parse(published).evaluation) {
    const { subject, resource } = request
    for (const email of [member(subject, 'id'), member(resource, 'id')]) {
      const roles = typeof email === 'string' && email.includes('@') ? ROLES[email.split('@', 1)[0] ?? ''] : undefined
      if (typeof email === 'string' && roles) users[email] = { email, roles }
    }
    const [email, identity] = [member(subject, 'id'), member(subject, 'identity')]
    if (typeof email === 'string' && typeof identity === 'string' && users[email]) users[identity] = users[email]
  }
  return { entities: { User: users } }
}

const Users = z.array(z.object({ id: z.string(), role: z.string(), department: z.string() }))
const Records = z.array(z.object({ id: z.coerce.string(), department: z.string(), owner: z.string() }))

function searchVocabulary(folder: string): unknown {
  const data = 'interop/authzen-search-demo/data'
  const byId = (things: readonly { id: string }[]) =>
    Object.fromEntries(things.map((thing) => [thing.id, { ...thing }]))
  const User = byId(Users.parse(read(folder, `${data}/users.json`)))
  const Record = byId(Records.parse(read(folder, `${data}/records.json`)))
  return { entities: { User, Record } }
}
