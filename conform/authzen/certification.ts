import type { Answered, Peer } from './peer.ts'

/** One check of the certification scenario; the id is the scenario's own. Returns what is wrong, or nothing. */
export type Check = { readonly id: string; readonly run: (peer: Peer) => Promise<string | undefined> }

const EVALUATION = '/access/v1/evaluation'
const EVALUATIONS = '/access/v1/evaluations'
const CONTEXT = { time: '2025-06-27T18:03-07:00', ip: '192.168.1.1' }

type Named = { readonly type: string; readonly id?: string; readonly properties?: object }

const user = (id?: string, properties?: object): Named => ({
  type: 'user',
  ...(id && { id }),
  ...(properties && { properties }),
})
const record = (n?: number, properties?: object): Named => ({
  type: 'record',
  ...(n && { id: `record-${n}` }),
  ...(properties && { properties }),
})
const act = (name: string, properties?: object) => ({ name, ...(properties && { properties }) })
const alice = user('alice')
const bob = user('bob')
const admin = user('bob', { role: 'admin' })
const archived = record(2, { status: 'archived' })
const read = act('read')
const write = act('write')

/** Basic, Batch, Search and Discovery, core and properties. */
export const CHECKS: readonly Check[] = [...basic(), ...basicErrors(), ...batch(), ...search(), ...discovery()]

function basic(): Check[] {
  const q = (subject: Named, action: object, resource: Named, more: object = {}) => ({
    subject,
    action,
    resource,
    ...more,
  })
  const manager = user('alice', { department: 'Sales', role: 'manager' })
  return [
    decides('c-2-2-1', q(alice, read, record(1)), true),
    decides('c-1-4 rule 2', q(alice, write, record(1)), true),
    decides('c-1-4 rule 3', q(bob, read, record(1)), true),
    decides('c-2-2-2', q(bob, write, record(1)), false),
    decides('c-2-2-3', q(alice, read, record(1), { context: CONTEXT }), true),
    decides('c-2-2-4', q(alice, write, archived), false),
    decides('c-2-2-5', q(admin, write, archived), true),
    decides('c-2-2-6', q(alice, act('delete', { soft: true }), record(1)), true),
    decides('c-2-2-7', q(alice, act('delete', { soft: false }), record(1)), false),
    decides('c-2-2-8', q(manager, act('read', { method: 'GET' }), record(1, { status: 'active', owner: 'bob' })), true),
    decides('c-2-2-9', q(alice, read, record(1), { foo: 'bar', futureField: { nested: true } }), true),
    {
      id: 'c-2-5-1',
      run: async (peer) => {
        const id = 'bfe9eb29-ab87-4ca3-be83-a1d5d8305716'
        const headers = { 'content-type': 'application/json', 'x-request-id': id }
        const { requestId } = await peer.post(EVALUATION, q(alice, read, record(1)), headers)
        return requestId === id ? undefined : `the request id came back as ${requestId}`
      },
    },
    {
      id: 'c-2-6',
      run: async (peer) => {
        const asked = Array.from({ length: 5 }, () => peer.post(EVALUATION, q(alice, read, record(1))))
        const answers = await Promise.all(asked)
        return answers.every(({ body }) => member(body, 'decision') === true) ? undefined : 'the decisions differ'
      },
    },
  ]
}

function basicErrors(): Check[] {
  const whole = { subject: alice, action: read, resource: record(1) }
  const without = (name: keyof typeof whole) =>
    Object.fromEntries(Object.entries(whole).filter(([key]) => key !== name))
  return [
    refuses('c-2-4-1 subject', EVALUATION, without('subject')),
    refuses('c-2-4-1 action', EVALUATION, without('action')),
    refuses('c-2-4-1 resource', EVALUATION, without('resource')),
    refuses('c-2-4-2 subject.type', EVALUATION, { ...whole, subject: { id: 'alice' } }),
    refuses('c-2-4-2 subject.id', EVALUATION, { ...whole, subject: user() }),
    refuses('c-2-4-2 action.name', EVALUATION, { ...whole, action: {} }),
    refuses('c-2-4-2 resource.type', EVALUATION, { ...whole, resource: { id: 'record-1' } }),
    refuses('c-2-4-2 resource.id', EVALUATION, { ...whole, resource: record() }),
    refuses('c-2-4-3', EVALUATION, whole, { 'content-type': 'text/plain' }),
    refuses('c-2-4-4', EVALUATION, '{"subject": '),
    refuses('c-2-4-5', EVALUATION, ''),
    refuses('c-2-4-6 subject', EVALUATION, { ...whole, subject: 'alice' }),
    refuses('c-2-4-6 action.name', EVALUATION, { ...whole, action: { name: 123 } }),
  ]
}

function batch(): Check[] {
  const [first, second] = [{ resource: record(1) }, { resource: record(2) }]
  const active = record(1, { status: 'active' })
  const single = { subject: alice, action: read, resource: record(1) }
  const options = { evaluations_semantic: 'execute_all' }
  const time = { time: '2025-06-27T18:03-07:00' }
  const override = { ...second, context: { time: '2025-06-27T19:00-07:00', source: 'batch-override' } }
  return [
    decidesAll('c-3-2-1', { subject: alice, action: read, evaluations: [first, second] }, [true, 'any']),
    decidesAll('c-3-2-2', { subject: bob, resource: record(1), evaluations: [{ action: read }, { action: write }] }, [
      true,
      false,
    ]),
    decidesAll(
      'c-3-2-3',
      { subject: alice, action: write, evaluations: [{ resource: active }, { resource: archived }] },
      [true, false],
    ),
    decidesAll(
      'c-3-2-4',
      { action: write, resource: archived, evaluations: [{ subject: alice }, { subject: admin }] },
      [false, true],
    ),
    decidesAll('c-3-2-5', { evaluations: [single, { subject: bob, action: write, resource: record(1) }] }, [
      true,
      false,
    ]),
    decidesAll('c-3-2-6', { subject: alice, action: read, context: time, evaluations: [first, override] }, [
      true,
      'any',
    ]),
    decidesAll(
      'c-3-2-7',
      { subject: alice, action: write, resource: active, evaluations: [{}, { resource: archived }] },
      [true, false],
    ),
    decidesAll('c-3-4-1', { subject: alice, action: read, options, evaluations: [first, {}] }, [true, false]),
    decides('c-3-4-2', single, true, EVALUATIONS),
    decides('c-3-4-3', { ...single, evaluations: [] }, true, EVALUATIONS),
    refuses('c-3-4 whole payload', EVALUATIONS, { action: read, resource: record(1) }),
  ]
}

function search(): Check[] {
  const who = { subject: user(), action: read, resource: record(1) }
  const where = { subject: alice, action: read, resource: record() }
  const what = { subject: alice, resource: record(1) }
  const spaceship = { type: 'spaceship' }
  return [
    finds('c-4-2-1', 'subject', who, ['alice', 'bob']),
    finds('c-4-2-2', 'subject', { ...who, context: CONTEXT }, ['alice', 'bob']),
    finds('c-4-2-3', 'subject', { ...who, subject: alice }, ['alice', 'bob']),
    finds('c-4-2-4', 'subject', { subject: user(), action: write, resource: archived }, ['bob']),
    finds('c-4-3-1', 'resource', where, ['record-1']),
    finds('c-4-3-2', 'resource', { ...where, context: CONTEXT }, ['record-1']),
    finds('c-4-3-3', 'resource', { ...where, resource: record(1) }, ['record-1', 'record-2']),
    finds('c-4-3-4', 'resource', { subject: admin, action: write, resource: record() }, ['record-2']),
    finds('c-4-4-1', 'action', what, ['read', 'write']),
    finds('c-4-4-2', 'action', { ...what, context: CONTEXT }, ['read', 'write']),
    finds('c-4-4-3', 'action', { subject: admin, resource: archived }, ['write']),
    { id: 'c-4-5', run: (peer) => paged(peer, who) },
    findsNothing('c-4-6-1', 'action', { subject: user('nonexistent-user'), resource: record(1) }),
    findsNothing('c-4-6-1 subject', 'subject', { ...who, resource: { type: 'record', id: 'nonexistent' } }),
    findsNothing('c-4-6-1 resource', 'resource', { ...where, subject: user('nonexistent-user') }),
    findsNothing('c-4-6-2', 'subject', { ...who, subject: spaceship }),
    findsNothing('c-4-6-2 resource', 'resource', { ...where, resource: spaceship }),
    findsNothing('c-4-6-2 action', 'action', { ...what, resource: { type: 'spaceship', id: '1' } }),
    refuses('c-4-7-1 subject', searchPath('subject'), { subject: user(), resource: record(1) }),
    refuses('c-4-7-1 resource', searchPath('resource'), { action: read, resource: record() }),
    refuses('c-4-7-1 action', searchPath('action'), { subject: alice }),
    refuses('c-4-7-2 subject', searchPath('subject'), { subject: user(), action: read, resource: record() }),
    refuses('c-4-7-2 resource', searchPath('resource'), { subject: user(), action: read, resource: record() }),
    refuses('c-4-7-2 action', searchPath('action'), { subject: user(), resource: record(1) }),
  ]
}

function discovery(): Check[] {
  return [
    {
      id: 'c-6',
      run: async (peer) => {
        const { status, type, body } = await peer.get('/.well-known/authzen-configuration')
        if (status !== 200 || type !== 'application/json') return `${status} ${type}`
        if (member(body, 'policy_decision_point') !== peer.origin) return 'it is another decision point'
        const endpoints = Object.entries(body ?? {}).filter(([name]) => name.endsWith('_endpoint'))
        const isHttps = endpoints.length === 5 && endpoints.every(([, url]) => String(url).startsWith('https://'))
        return isHttps ? undefined : 'not every endpoint is an HTTPS URL'
      },
    },
  ]
}

function decides(id: string, body: unknown, expected: boolean, path = EVALUATION): Check {
  return {
    id,
    run: async (peer) => {
      const answer = await peer.post(path, body)
      return wrongForm(answer) ?? (member(answer.body, 'decision') === expected ? undefined : `not ${expected}`)
    },
  }
}

function decidesAll(id: string, body: unknown, expected: readonly (boolean | 'any')[]): Check {
  return {
    id,
    run: async (peer) => {
      const answer = await peer.post(EVALUATIONS, body)
      const listed = member(answer.body, 'evaluations')
      if (!Array.isArray(listed) || listed.length !== expected.length) return 'not as many answers as questions'
      const decisions = listed.map((each) => member(each, 'decision'))
      const isRight = decisions.every((decision, at) =>
        expected[at] === 'any' ? typeof decision === 'boolean' : decision === expected[at],
      )
      return wrongForm(answer) ?? (isRight ? undefined : `answered ${decisions.join(', ')}`)
    },
  }
}

function refuses(id: string, path: string, body: unknown, headers?: Readonly<Record<string, string>>): Check {
  return {
    id,
    run: async (peer) => {
      const { status } = await peer.post(path, body, headers)
      return status === 400 ? undefined : `answered ${status}`
    },
  }
}

function searchPath(what: 'subject' | 'resource' | 'action'): string {
  return `/access/v1/search/${what}`
}

function finds(id: string, what: 'subject' | 'resource' | 'action', body: unknown, expected: readonly string[]): Check {
  return {
    id,
    run: async (peer) => {
      const answer = await peer.post(searchPath(what), body)
      const found = namesIn(answer.body)
      const missing = expected.filter((name) => !found.includes(name))
      return (
        wrongForm(answer) ?? (missing.length === 0 ? undefined : `found ${found.join(', ')}, not ${missing.join(', ')}`)
      )
    },
  }
}

function findsNothing(id: string, what: 'subject' | 'resource' | 'action', body: unknown): Check {
  return {
    id,
    run: async (peer) => {
      const answer = await peer.post(searchPath(what), body)
      const results = member(answer.body, 'results')
      return wrongForm(answer) ?? (Array.isArray(results) && results.length === 0 ? undefined : 'found something')
    },
  }
}

/** c-4-5-1 to c-4-5-3: the second request carries the token alone. */
async function paged(peer: Peer, body: object): Promise<string | undefined> {
  const first = await peer.post(searchPath('subject'), { ...body, page: { limit: 1 } })
  const token = member(member(first.body, 'page'), 'next_token')
  if (typeof token !== 'string' || token === '') return 'the first page has no token'
  const second = await peer.post(searchPath('subject'), { ...body, page: { token } })
  const next = member(member(second.body, 'page'), 'next_token')
  const found = [...namesIn(first.body), ...namesIn(second.body)]
  if (typeof next !== 'string') return 'the second page has no token'
  return wrongForm(second) ?? (new Set(found).size === 2 ? undefined : `the pages held ${found.join(', ')}`)
}

function wrongForm({ status, type }: Answered): string | undefined {
  return status === 200 && type === 'application/json' ? undefined : `answered ${status} ${type}`
}

export function namesIn(body: unknown): string[] {
  const results = member(body, 'results')
  if (!Array.isArray(results)) return []
  return results.map((each) => String(member(each, 'id') ?? member(each, 'name')))
}

export function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}
