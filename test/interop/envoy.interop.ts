import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { enrolFounder, redeem } from '../../demo/people.ts'
import { registerTarget } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import {
  activatePolicies,
  listPolicyVersions,
  proposePolicies,
  readPolicyVersion,
  revertPolicies,
} from '../../src/policy/contract.ts'
import { meshCa, startEnvoy, startService, type Envoy, type Service } from '../support/envoy.ts'
import { cleaningOfFile, site, type Site } from '../support/installation.ts'

// A real Envoy before two services: what a path hides reaches Reeve as it came, and Envoy carries out what Reeve says.
const cleaning = cleaningOfFile()
const folder = mkdtempSync(join(tmpdir(), 'reeve-envoy-'))
let on: Site
let ada: Client
let envoy: Envoy
let [orders, bills]: Service[] = []
let certificates: Record<'cart' | 'stranger', { cert: string; key: string }>
let ca = ''

const target = (path: string, host: string) => ({
  hosts: [host],
  methods: ['GET'],
  path,
  action: 'target.read',
  resource: { type: 'target', id: '{name}' },
})
const MESH = {
  enforcementPoint: 'edge',
  port: 0,
  principals: [{ principal: 'spiffe://mesh.example/sa/{name}', identity: '{name}' }],
  routes: [target('/orders/{name}', 'orders.example'), target('/bills/{name}', 'bills.example')],
}
/** A workload may read one target, and no other. */
const CART = `@id("cart-reads-its-target") @why("the cart is shown its target")
permit (principal is Reeve::Workload, action == Reeve::Action::"target.read", resource is Reeve::Target)
when { principal.name == "cart" && resource.name == "shop" };`
const HALT = `@id("halt") @why("nothing is read this week")
forbid (principal is Reeve::Workload, action == Reeve::Action::"target.read", resource);`

before(async () => {
  on = await site(cleaning, { mesh: MESH })
  ada = await enrolFounder(on.server)
  await activate('cart.cedar', CART)
  for (const name of ['shop', 'vault']) {
    const settings = { host: '127.0.0.1', port: 5432 }
    const input = { name, protocol: 'postgres', environment: 'test', ownerTeam: 'shop', settings } as const
    await ada.ask(registerTarget, { input })
  }
  const edge = await workload('edge')
  await workload('cart')
  const mesh = await meshCa(join(folder, 'mesh'))
  ca = mesh.ca
  const other = await meshCa(join(folder, 'other'))
  certificates = {
    cart: await mesh.issue('cart', 'URI:spiffe://mesh.example/sa/cart'),
    stranger: await other.issue('cart', 'URI:spiffe://mesh.example/sa/cart'),
  }
  orders = await startService('orders')
  bills = await startService('bills')
  const authority = join(folder, 'reeve.pem')
  writeFileSync(authority, on.server.authority.certificate)
  envoy = await startEnvoy({
    folder,
    services: { 'orders.example': orders.port, 'bills.example': bills.port },
    tls: { ca, ...(await mesh.issue('edge', 'DNS:orders.example,DNS:bills.example')) },
    reeve: { port: on.server.meshPort, token: edge.connection.token?.reveal() ?? '', ca: authority },
  })
})

after(async () => {
  await envoy[Symbol.asyncDispose]()
  await orders?.[Symbol.asyncDispose]()
  await bills?.[Symbol.asyncDispose]()
  await cleaning.now()
  rmSync(folder, { recursive: true })
})

async function workload(name: string): Promise<Client> {
  await ada.ask(registerIdentity, {
    input: { kind: 'workload', name, profile: 'service', ownerTeam: 'shop', owner: 'ada' },
  })
  await ada.ask(attestOwner, { params: { identity: name } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: name }, input: {} })
  return redeem(on.server, secret)
}

/** Alone, the founder changes the policies. */
async function activate(name: string, added: string): Promise<void> {
  const { items } = await ada.ask(listPolicyVersions)
  const version = items.find(({ isActive }) => isActive)?.id ?? ''
  const { files } = await ada.ask(readPolicyVersion, { params: { version } })
  const { id } = await ada.ask(proposePolicies, { input: { files: [...files, { name, text: added }] } })
  await ada.ask(activatePolicies, { params: { version: id } })
}

type Sent = {
  readonly host?: string
  readonly headers?: Record<string, string>
  readonly as?: 'cart' | 'stranger' | 'nobody'
  readonly method?: string
}
type Got = { readonly status: number; readonly headers: Record<string, unknown>; readonly body: string }

async function get(path: string, sent: Sent = {}): Promise<Got> {
  const { host = 'orders.example', headers = {}, as = 'cart', method = 'GET' } = sent
  const shown = as === 'nobody' ? undefined : certificates[as]
  const asked = request({
    host: '127.0.0.1',
    port: envoy.port,
    path,
    method,
    servername: host,
    headers: { ...headers, host },
    ca: readFileSync(ca),
    ...(shown && { cert: readFileSync(shown.cert), key: readFileSync(shown.key) }),
    agent: false,
  })
  asked.end()
  const [response] = await once(asked, 'response')
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

function seen(): number {
  return (orders?.seen.length ?? 0) + (bills?.seen.length ?? 0)
}

test('what is permitted goes on to its service, which learns who it is and by which decision', async () => {
  const answer = await get('/orders/shop?page=2')

  assert.deepEqual([answer.status, answer.body], [200, 'orders answers'])
  const { headers, url } = orders?.seen.at(-1) ?? {}
  assert.equal(url, '/orders/shop?page=2')
  assert.equal(headers?.['x-reeve-subject'], 'cart')
  assert.match(String(headers?.['x-reeve-decision']), /^[0-9a-f-]{36}$/)
  assert.equal((await get('/bills/shop', { host: 'bills.example' })).body, 'bills answers')
})

test('a person with a token goes on, and the token stays behind', async () => {
  const headers = { authorization: `Bearer ${ada.connection.token?.reveal()}` }

  assert.equal((await get('/orders/vault', { as: 'nobody', headers })).status, 200)
  assert.equal(orders?.seen.at(-1)?.headers.authorization, undefined)
  assert.equal(orders?.seen.at(-1)?.headers['x-reeve-subject'], 'ada')
})

test('what is denied is a 403 with a problem, and the service hears nothing', async () => {
  const before = seen()
  const { status, headers, body } = await get('/orders/vault')

  assert.deepEqual([status, headers['content-type']], [403, 'application/problem+json'])
  assert.match(JSON.parse(body).facts.reasons.join(' '), /No policy permits/)
  assert.equal(seen(), before)
})

test('attack: whoever proves nothing is turned away, whatever headers they send', async () => {
  const before = seen()
  const claims = [
    {},
    { 'x-forwarded-client-cert': 'URI=spiffe://mesh.example/sa/cart' },
    { 'x-reeve-subject': 'cart', 'x-reeve-decision': 'made-up' },
    { authorization: 'Bearer reeve_token_made-up' },
  ]
  for (const headers of claims) {
    const answer = await get('/orders/shop', { as: 'nobody', headers })
    assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, 'Bearer'])
  }
  await assert.rejects(get('/orders/shop', { as: 'stranger' }))
  assert.equal(seen(), before)
})

test('attack: headers of ours do not come from a client', async () => {
  const headers = {
    'x-reeve-subject': 'ada',
    'X-Reeve-Decision': 'made-up',
    'x-reeve-team': 'security',
    'x-http-method-override': 'DELETE',
    'x-original-url': '/admin',
  }
  assert.equal((await get('/orders/shop', { headers })).status, 200)

  const got = orders?.seen.at(-1)?.headers ?? {}
  assert.equal(got['x-reeve-subject'], 'cart')
  assert.match(String(got['x-reeve-decision']), /^[0-9a-f-]{36}$/)
  for (const name of ['x-reeve-team', 'x-http-method-override', 'x-original-url'])
    assert.equal(got[name], undefined, name)
})

test('attack: no path leads past the question', async () => {
  const before = seen()
  const tricks = [
    '/orders/../vault',
    '/orders/%2e%2e/vault',
    '/orders/shop/%2E%2E/vault',
    '/orders/shop/..%2fvault',
    '/orders/shop%2f..%2fvault',
    '/orders/shop%5c..%5cvault',
    '//orders/shop',
    '/orders//shop',
    '/orders/./shop',
    '/ORDERS/shop',
    '/orders/shop;/../vault',
    '/orders/%73hop',
    '/orders/shop%00',
    '/orders/shop%23',
    '/orders',
    '/',
    '/orders/vault?x=/orders/shop',
    '/orders/SHOP',
  ]
  for (const path of tricks) assert.ok((await get(path)).status >= 400, path)
  for (const method of ['POST', 'DELETE', 'HEAD', 'OPTIONS']) {
    assert.ok((await get('/orders/shop', { method })).status >= 400, method)
  }
  assert.ok((await get('/orders/shop', { host: 'bills.example' })).status >= 400)
  assert.equal(seen(), before)
})

test('other policies decide from the next request on, and the ones before when they are back', async () => {
  assert.equal((await get('/orders/shop')).status, 200)
  await activate('halt.cedar', HALT)
  const halted = await get('/orders/shop')
  assert.equal(halted.status, 403)
  assert.match(halted.body, /nothing is read this week/)
  await ada.ask(revertPolicies)

  assert.equal((await get('/orders/shop')).status, 200)
})

test('with Reeve down nobody goes on', async () => {
  const before = seen()
  await on.server[Symbol.asyncDispose]()

  const answer = await get('/orders/shop')

  assert.equal(answer.status, 403)
  assert.equal(seen(), before)
})
