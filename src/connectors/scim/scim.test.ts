/** A stub of a server that does what it should not; a real one is read in `test/interop/connector-scim.interop.ts`. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test, type TestContext } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { HOSTILE } from '../conformance/hostile.fixture.ts'
import { scimConnector } from './connector.ts'

const USER = 'urn:ietf:params:scim:schemas:core:2.0:User'

test('attack: pages in a circle, a total that is not kept and users of no form are said, and take nothing away', async (t) => {
  const user = (id: string) => ({ schemas: [USER], id, userName: `user ${id}` })
  const lists: Record<string, (start: number) => object> = {
    circle: () => ({ totalResults: 9, Resources: [user('1'), user('2')] }),
    short: (start) => ({ totalResults: 3, Resources: start === 1 ? [user('1'), user('2')] : [] }),
    odd: () => ({ totalResults: 2, Resources: [user('1'), { id: '2' }] }),
    none: () => ({ error: 'no' }),
  }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    const [, kind = '', path = ''] = url.pathname.split('/')
    const list = path === 'Users' ? lists[kind] : undefined
    if (!list) response.writeHead(404).end('{}')
    else response.end(JSON.stringify(list(Number(url.searchParams.get('startIndex')))))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const base = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  const came: Record<string, unknown> = {}
  for (const kind of Object.keys(lists)) {
    const i = await inventoryWorld(t)
    const credential = { user: 'reader', password: 'of the stub' }
    const { scopes } = await i.collect(await i.source(scimConnector, { url: `${base}/${kind}` }, { credential }))
    came[kind] = scopes.map(({ scope, status, missing }) => `${scope} ${status} ${missing[0]?.why ?? ''}`).toSorted()
  }

  const groups = 'groups unsupported the server has none'
  assert.deepEqual(came, {
    circle: [groups, 'users partial the pages of the server run in a circle'],
    short: [groups, 'users partial the pages had fewer than the total that the server told'],
    odd: [groups, 'users partial they are neither a user nor a group as RFC 7643 has them'],
    none: [groups, 'users partial the answer is no list of SCIM'],
  })
})

/** Two pages of users and one of groups; from what no list has an answer is empty. */
async function directory(t: Pick<TestContext, 'after'>): Promise<string> {
  const meta = { created: '2026-01-01T00:00:00Z' }
  const users = Array.from({ length: 5 }, (_, at) => ({
    schemas: [USER],
    id: `u${at}`,
    userName: `user ${at}`,
    active: at > 0,
    emails: [{ value: `user${at}@shop.example`, primary: true }],
    meta,
  }))
  const members = [{ value: 'u1' }, { value: 'u2' }]
  const group = { schemas: [USER.replace('User', 'Group')], id: 'g1', displayName: 'payments', members, meta }
  const lists: Record<string, readonly object[]> = { '/Users': users, '/Groups': [group] }
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    const list = lists[url.pathname]
    const from = Number(url.searchParams.get('startIndex')) - 1
    const count = Math.min(Number(url.searchParams.get('count')), 3)
    if (!list) response.writeHead(404).end('{}')
    else response.end(JSON.stringify({ totalResults: list.length, Resources: list.slice(from, from + count) }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
}

// RFC 7644 §3.4.2: a server may leave out what is empty, the members of a group as well.
const SAYS = [/members/]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile: ${story}`, async (t) =>
    run({
      connector: scimConnector,
      settings: { url: await directory(t) },
      credential: { user: 'reader', password: 'of the stub' },
      says: SAYS,
    }))
