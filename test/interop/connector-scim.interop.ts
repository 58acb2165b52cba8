/** scim2-server, a server of SCIM 2.0 in Python. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { before, test, type TestContext } from 'node:test'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { scimConnector } from '../../src/connectors/scim/connector.ts'
import { eventually } from '../support/eventually.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { pythonWith } from './peers/python.ts'

const TOKEN = 'a-token-of-the-directory-4712'
const USER = 'urn:ietf:params:scim:schemas:core:2.0:User'
const GROUP = 'urn:ietf:params:scim:schemas:core:2.0:Group'
let python: string

before(async () => {
  python = await pythonWith('scim2-server-0.8.3', ['scim2-server==0.8.3'])
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address ? address.port : 0
}

async function directory(t: Pick<TestContext, 'after'>) {
  const port = await freePort()
  const args = ['-m', 'scim2_server.testserver.cli', '--port', String(port), '--bearer-token', TOKEN]
  const child = spawn(python, args, { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  const api = async (method: string, path: string, body?: object) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/scim+json' },
      ...(body && { body: JSON.stringify(body) }),
    })
    assert.ok(
      answer.ok,
      `${method} ${path}: ${answer.status} ${answer.status === 204 ? '' : await answer.clone().text()}`,
    )
    return answer.status === 204 ? {} : ((await answer.json()) as { id?: string; meta?: { location?: string } })
  }
  await eventually(() => fetch(`${url}/v2/Users`).catch(() => undefined))
  return { url: `${url}/v2`, api: (method: string, path: string, body?: object) => api(method, `/v2${path}`, body) }
}

async function furnish(api: Awaited<ReturnType<typeof directory>>['api'], users: number): Promise<string[]> {
  const ids: string[] = []
  for (let at = 0; at < users; at += 1) {
    const { id = '' } = await api('POST', '/Users', {
      schemas: [USER],
      userName: `user-${at}`,
      active: at % 7 !== 0,
      emails: [{ value: `user-${at}@acme.example` }],
    })
    ids.push(id)
  }
  await api('POST', '/Groups', {
    schemas: [GROUP],
    displayName: 'operators',
    members: ids.slice(0, 5).map((value) => ({ value, type: 'User' })),
  })
  return ids
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`scim2-server: ${story}`, async (t) => {
    const { url, api } = await directory(t)
    const ids = await furnish(api, 12)
    const bed: Bed = {
      connector: scimConnector,
      settings: { url },
      credential: { token: TOKEN },
      whole: ['users', 'groups'],
      secrets: [TOKEN],
      async lose() {
        await api('DELETE', `/Users/${ids[11]}`)
        return 'users'
      },
      async plant() {
        const names = ['=cmd|calc', '\u001b[31mred', '\u202egnp', 'x'.repeat(900)]
        for (const name of names) await api('POST', '/Users', { schemas: [USER], userName: `hostile ${name}` })
        return { table: 'observed_principal', count: names.length, like: 'hostile %' }
      },
    }
    await run(t, bed)
  })
}

test('users and groups of several pages come whole, with states and members, and a wrong token is denied', async (t) => {
  const { url, api } = await directory(t)
  await furnish(api, 430)
  const i = await inventoryWorld(t)
  const id = await i.source(scimConnector, { url }, { credential: { token: TOKEN } })

  const { outcome, scopes } = await i.collect(id)

  assert.equal(outcome, 'complete', JSON.stringify(scopes))
  assert.equal(await i.count('observed_principal', `type = 'account'`), 430)
  assert.equal(await i.count('observed_principal', `type = 'account' and state = 'disabled'`), 62)
  assert.equal(await i.count('observed_principal', `type = 'group' and name = 'operators'`), 1)
  assert.equal(await i.count('observed_grant', `privilege = 'member'`), 5)
  const wrong = await inventoryWorld(t)
  const denied = await wrong.collect(await wrong.source(scimConnector, { url }, { credential: { token: 'another' } }))
  assert.deepEqual(
    denied.scopes.map(({ status, missing }) => [status, missing[0]?.permission]),
    [
      ['denied', 'GET /Users of the server'],
      ['denied', 'GET /Groups of the server'],
    ],
  )
})
