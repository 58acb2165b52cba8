import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { MeshRoute } from '../../kernel/config/mesh.ts'
import { plainHost, plainSegments } from './path.ts'
import { compilePrincipals, compileRoutes } from './routes.ts'

test('a plain path is its segments, decoded, without its query', () => {
  assert.deepEqual(plainSegments('/'), [])
  assert.deepEqual(plainSegments('/orders/7?as=pdf&x=/../..'), ['orders', '7'])
  assert.deepEqual(plainSegments('/orders/7/'), ['orders', '7'])
  assert.deepEqual(plainSegments('/caf%C3%A9/a%20b/x@y:z,1'), ['café', 'a b', 'x@y:z,1'])
  assert.deepEqual(plainSegments('/~ada/.well-known/...x'), ['~ada', '.well-known', '...x'])
})

test('attack: a path that two readers take for two places is nobody’s place', () => {
  const tricks = [
    '',
    'orders',
    '*',
    'http://shop.example/orders',
    '//orders',
    '/orders//7',
    '/orders/../admin',
    '/orders/.',
    '/orders/%2e%2e/admin',
    '/orders/%2E%2e/admin',
    '/orders/.%2e/admin',
    '/orders%2f..%2fadmin',
    '/orders%5c..%5cadmin',
    '/orders\\..\\admin',
    '/orders/..;/admin',
    '/admin;jsessionid=1',
    '/admin%3bx',
    '/%61dmin',
    '/admin%00',
    '/admin%0a',
    '/admin%09',
    '/admin%2500',
    '/admin%3fx',
    '/admin%23',
    '/admin#x',
    '/admin%',
    '/admin%2',
    '/admin%zz',
    '/admin%c0%af',
    '/admin%ff',
    '/%EF%BC%8E%EF%BC%8E/admin',
    '/orders%EF%BC%8Fadmin',
    '/%E2%80%AEadmin',
    '/adm\u0131n',
    '/a b',
    `/${'x'.repeat(5000)}`,
  ]

  for (const path of tricks) assert.equal(plainSegments(path), undefined, JSON.stringify(path))
})

test('what is plain to us is the same place to the parser of every browser', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '..',
      '.',
      '%2e',
      '%2f',
      '%5c',
      '//',
      '/',
      ';',
      '%',
      'é',
      '%C3%A9',
      '\\',
      'admin',
      'ADMIN',
      '?',
      '#',
    ),
    fc.string({ maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      const path = `/${pieces.join('')}`
      const segments = plainSegments(path)
      if (!segments) return
      const { pathname } = new URL(path, 'http://shop.example')
      const parts = pathname.split('/').slice(1).map(decodeURIComponent)
      if (parts.at(-1) === '') parts.pop()
      assert.deepEqual(segments, parts)
    }),
    { numRuns: 20_000 },
  )
})

const route = (path: string, action: string, more: Partial<MeshRoute> = {}): MeshRoute => ({
  hosts: ['*'],
  methods: ['GET'],
  path,
  action,
  resource: { type: 'page', id: '{host}{path}', properties: {} },
  purpose: undefined,
  ...more,
})

test('the first route that fits says what a request does; one that almost fits refuses it', () => {
  const actOf = compileRoutes([
    route('/admin', 'administer'),
    route('/orders/{order}', 'read-order', {
      resource: { type: 'order', id: '{order}', properties: { by: '{method}' } },
    }),
    route('/orders/{order}', 'change-order', { methods: ['POST', 'PUT'], hosts: ['shop.example'] }),
    route('/files/{rest*}', 'read-file', {
      hosts: ['*.shop.example'],
      resource: { type: 'file', id: '{rest}', properties: {} },
    }),
    route('/{any*}', 'read'),
  ])
  const asked = (path: string, method = 'GET', host = 'shop.example') => actOf({ method, host, path })

  assert.deepEqual(asked('/orders/7'), {
    action: 'read-order',
    resource: { type: 'order', id: '7', properties: { by: 'GET' } },
    purpose: undefined,
  })
  assert.equal(asked('/orders/7', 'POST', 'SHOP.example:8443')?.action, 'change-order')
  assert.equal(asked('/orders/7', 'POST', 'other.example'), undefined)
  assert.equal(asked('/orders/7', 'get'), undefined)
  assert.equal(asked('/files/a/b', 'GET', 'x.shop.example')?.resource.id, 'a/b')
  assert.equal(asked('/files/a/b', 'GET', 'evilshop.example')?.action, 'read')
  assert.equal(asked('/admin/')?.action, 'administer')
  for (const path of ['/ADMIN', '/Admin', '/admin%C5%BF', '/Orders/7']) {
    assert.notEqual(asked(path)?.action, 'administer')
    if (!path.includes('%')) assert.equal(asked(path), undefined, path)
  }
  for (const host of ['shop.example.', 'user@shop.example', 'shop.example/x', '']) {
    assert.equal(asked('/orders/7', 'GET', host), undefined, host)
  }
})

test('routes and rules that contradict themselves are refused at start', () => {
  assert.throws(() => compileRoutes([route('/a/{x}/{x}', 'y')]), /two meanings/)
  assert.throws(() => compileRoutes([route('/a/{host}', 'y')]), /two meanings/)
  assert.throws(() => compileRoutes([route('/{x*}/b', 'y')]), /stands at the end/)
  assert.throws(
    () => compileRoutes([route('/a', 'y', { resource: { type: 't', id: '{b}', properties: {} } })]),
    /no \{b\}/,
  )
  const rule = { principal: 'spiffe://e/{a}/{a}', type: 'workload', identity: '{a}' } as const
  assert.throws(() => compilePrincipals([rule]), /twice/)
  assert.throws(() => compilePrincipals([{ ...rule, principal: 'spiffe://e/{b}' }]), /no \{a\}/)
})

test('attack: a certificate of another place proves nobody', () => {
  const principalOf = compilePrincipals([
    { principal: 'spiffe://shop.example/ns/shop/sa/{name}', type: 'workload', identity: 'shop-{name}' },
    { principal: 'db.shop.example', type: 'machine', identity: 'db' },
  ])

  assert.deepEqual(principalOf('spiffe://shop.example/ns/shop/sa/cart'), {
    type: 'workload',
    id: 'shop-cart',
    proof: 'spiffe',
  })
  assert.deepEqual(principalOf('db.shop.example'), { type: 'machine', id: 'db', proof: 'mtls' })
  for (const principal of [
    'spiffe://evil.example/ns/shop/sa/cart',
    'xspiffe://shop.example/ns/shop/sa/cart',
    'spiffe://shop.example/ns/shop/sa/cart/admin',
    'spiffe://shop.example/ns/shop/sa/',
    'spiffe://shop.example/ns/shop/sa/a b',
    'dbxshop.example',
    'db.shop.example\n',
    'DB.shop.example',
  ]) {
    assert.equal(principalOf(principal), undefined, principal)
  }
})

test('a host is its name without port and capitals', () => {
  assert.deepEqual(
    ['Shop.Example:443', '[::1]:80', 'my_service', 'xn--caf-dma.example', 'a:b', '..', 'a..b'].map(plainHost),
    ['shop.example', '[::1]', 'my_service', 'xn--caf-dma.example', undefined, undefined, undefined],
  )
})
