import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { createServer, request } from 'node:https'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { enrolFounder } from '../../../demo/people.ts'
import { cleaningOfFile, site, type Site } from '../../../test/support/installation.ts'
import { machineWorld, type MachineWorld } from '../../../test/support/machine-world.ts'
import { callWorkload, connectTo, fieldsOf } from '../../../test/support/workload-client.ts'
import type { Client } from '../../cli/client.ts'
import { ApiProblem } from '../../cli/problems.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../identities/contract.ts'
import { newKeyPair, type KeyPair } from '../../kernel/key-pair.ts'
import { createTrustRule, retireTrustRule } from '../../tokens/contract.ts'
import { redeem } from '../../../demo/people.ts'
import { issueJwtSvid, issueX509Svid, readSpiffeBundle, rotateSpiffe } from './contract.ts'
import { createTrustDomain, endTrustDomain, listTrustDomains, refreshTrustDomain } from './federation-contract.ts'

/** Two installations, each a trust domain of its own: other.example is the foreign one. */
let other: Site
let root: Client
let cart: Client
let here: MachineWorld
const cleaning = cleaningOfFile()
const CART = 'spiffe://other.example/workload/cart'

before(async () => {
  other = await site(cleaning, { spiffe: { trustDomain: 'other.example' } })
  root = await enrolFounder(other.server)
  cart = await workloadOf(other, root, 'cart')
  const folder = mkdtempSync(join(tmpdir(), 'reeve-federation-'))
  cleaning.after(() => rmSync(folder, { recursive: true }))
  const caFile = join(folder, 'ca.pem')
  writeFileSync(caFile, other.server.authority.certificate)
  here = await machineWorld(cleaning, { egress: { allow: ['127.0.0.1', 'localhost'], caFile } })
})
after(() => cleaning.now())

async function workloadOf(on: Site, by: Client, name: string) {
  const identity = { kind: 'workload', name, profile: 'service', ownerTeam: 'shop', owner: 'ada' } as const
  await by.ask(registerIdentity, { input: identity })
  await by.ask(attestOwner, { params: { identity: name } })
  const { secret } = await by.ask(enrolIdentity, { params: { identity: name }, input: {} })
  return redeem(on.server, secret, {}, true)
}

const refusedAs = (slug: string) => (error: unknown) => error instanceof ApiProblem && error.slug === slug
const bundleUrl = () => `${other.server.api.url}/v1/spiffe/bundle`
const bundleOf = async (on: Site) => (await on.nobody.bytes(readSpiffeBundle)).toString('utf8')

async function svidOf(by: Client, identity: string) {
  const pair = await newKeyPair()
  const { certificate } = await by.ask(issueX509Svid, { params: { identity }, input: { publicKey: pair.publicKey } })
  return { certificate, pair }
}

/** An endpoint that says what the test says, and proves what it is given. */
async function endpoint(proof: { readonly certificate: string; readonly pair: KeyPair }) {
  let body = '{}'
  const server = createServer(
    { cert: proof.certificate, key: proof.pair.privateKey.reveal() },
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(body)
    },
  )
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  cleaning.after(() => server.close())
  const address = server.address()
  const port = isAddress(address) ? address.port : 0
  return { url: `https://127.0.0.1:${port}/bundle`, say: (text: string) => (body = text) }
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null
}

async function tokenBy(form: Readonly<Record<string, string>>, tls: { cert?: string; key?: string } = {}) {
  const url = new URL('/oauth2/token', here.server.api.url)
  const body = new URLSearchParams(form).toString()
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) }
  return new Promise<{ status: number; json: Record<string, unknown> }>((resolve, reject) => {
    const sent = request(url, { method: 'POST', ca: here.server.authority.certificate, headers, ...tls }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => (text += chunk))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, json: JSON.parse(text) }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const jwtOf = async (audience: string) =>
  (await cart.ask(issueJwtSvid, { params: { identity: 'cart' }, input: { audience: [audience] } })).token

test('attack: nobody federates with our own name, a name that is none, or an address inside', async () => {
  const create = (name: string, url = bundleUrl(), more = {}) =>
    here.ada.ask(createTrustDomain, { input: { name, bundleUrl: url, ...more } })

  await assert.rejects(create('example.org'), refusedAs('invalid-input'))
  await assert.rejects(create('Other.Example'), refusedAs('invalid-input'))
  await assert.rejects(create('x.example', 'https://10.0.0.1/bundle'), refusedAs('invalid-input'))
  await assert.rejects(create('x.example', 'http://127.0.0.1/bundle'), refusedAs('invalid-input'))
  await assert.rejects(create('x.example', bundleUrl(), { profile: 'https_spiffe' }), refusedAs('invalid-input'))
})

test('a bundle is fetched, kept while its endpoint is away, and handed to workloads beside our own', async () => {
  await here.ada.ask(createTrustDomain, { input: { name: 'other.example', bundleUrl: bundleUrl() } })
  const fetched = await here.ada.ask(refreshTrustDomain, { params: { domain: 'other.example' } })
  assert.equal(fetched.authorities, 2)
  assert.equal(fetched.jwtKeys, 2)
  assert.equal(fetched.failure, null)

  await here.identity('machine', 'm-fed')
  await here.identity('workload', 'w-fed')
  await here.place('w-fed', 'm-fed', [`unix:uid:${process.getuid?.()}`])
  const agent = await here.agent('m-fed')
  const session = connectTo(agent.socketPath)
  const answer = await callWorkload(session, 'FetchX509Bundles').next()
  session.destroy()

  const names = (fieldsOf(answer ?? Buffer.alloc(0)).get(2) ?? []).map((entry) =>
    fieldsOf(entry).get(1)?.[0]?.toString(),
  )
  assert.deepEqual(names, ['spiffe://example.org', 'spiffe://other.example'])
})

test('attack: a bundle that goes back, or holds an authority of another domain, is not taken, and the good one stays', async () => {
  const self = await svidOf(cart, 'cart')
  const at = await endpoint(self)
  const good = JSON.parse(await bundleOf(other))
  const endpointId = CART
  const input = { name: 'other.example', bundleUrl: at.url, profile: 'https_spiffe', endpointId } as const
  await here.ada.ask(endTrustDomain, { params: { domain: 'other.example' }, input: { reason: 'by another way' } })
  await here.ada.ask(createTrustDomain, { input: { ...input, bundle: JSON.stringify(good) } })
  const refresh = () => here.ada.ask(refreshTrustDomain, { params: { domain: 'other.example' } })

  at.say(JSON.stringify({ ...good, spiffe_sequence: good.spiffe_sequence + 1 }))
  assert.equal((await refresh()).sequence, good.spiffe_sequence + 1)
  const ours = JSON.parse(await bundleOf(here))
  const bad = {
    'one that goes back': good,
    'one without a number': { keys: good.keys },
    'an authority of ours': { keys: [...good.keys, ...ours.keys], spiffe_sequence: good.spiffe_sequence + 9 },
    'a leaf': {
      keys: [{ kty: 'EC', use: 'x509-svid', x5c: [new X509Certificate(self.certificate).raw.toString('base64')] }],
      spiffe_sequence: good.spiffe_sequence + 9,
    },
    'a key without a name': { keys: [{ kty: 'EC', use: 'jwt-svid' }], spiffe_sequence: good.spiffe_sequence + 9 },
    'no bundle': 'keys',
  }
  for (const [what, bundle] of Object.entries(bad)) {
    at.say(JSON.stringify(bundle))
    assert.ok((await refresh()).failure, what)
    const { items } = await here.ada.ask(listTrustDomains, {})
    const [kept] = items.filter(({ name }) => name === 'other.example')
    assert.equal(kept?.sequence, good.spiffe_sequence + 1, what)
    assert.equal(kept?.authorities, 2)
    assert.ok(kept?.failure && kept.fetchedAt, what)
  }
})

test('attack: an endpoint of https_spiffe that proves another identity of the same domain is not believed', async () => {
  await workloadOf(other, root, 'imposter').then(async (imposter) => {
    const at = await endpoint(await svidOf(imposter, 'imposter'))
    at.say(await bundleOf(other))
    const input = {
      bundleUrl: at.url,
      profile: 'https_spiffe',
      endpointId: CART,
      bundle: await bundleOf(other),
    } as const
    await here.ada.ask(endTrustDomain, { params: { domain: 'other.example' }, input: { reason: 'by another way' } })
    await here.ada.ask(createTrustDomain, { input: { name: 'other.example', ...input } })

    const asked = await here.ada.ask(refreshTrustDomain, { params: { domain: 'other.example' } })
    assert.match(asked.failure ?? '', /proved another identity/)
  })
})

test('documents of another domain prove the one identity that a rule names, by token and in the handshake', async () => {
  await here.ada.ask(endTrustDomain, { params: { domain: 'other.example' }, input: { reason: 'by another way' } })
  await here.ada.ask(createTrustDomain, { input: { name: 'other.example', bundleUrl: bundleUrl() } })
  await here.ada.ask(refreshTrustDomain, { params: { domain: 'other.example' } })
  await here.identity('workload', 'cart-of-other')
  const { audience } = await here.ada.ask(createTrustRule, {
    params: { identity: 'cart-of-other' },
    input: { name: 'cart', preset: 'spiffe', subject: { is: CART }, isBound: false },
  })
  const assertion = await jwtOf(audience)
  const { certificate, pair } = await svidOf(cart, 'cart')
  const tls = { cert: certificate, key: pair.privateKey.reveal() }
  const asClient = { grant_type: 'client_credentials', client_id: 'cart-of-other' }

  assert.equal((await tokenBy({ grant_type: JWT_BEARER, assertion })).status, 200)
  assert.equal((await tokenBy(asClient, tls)).status, 200)

  const stranger = await workloadOf(other, root, 'stranger')
  const theirs = await svidOf(stranger, 'stranger')
  assert.notEqual(
    (await tokenBy(asClient, { cert: theirs.certificate, key: theirs.pair.privateKey.reveal() })).status,
    200,
  )
  const elsewhere = await jwtOf('https://elsewhere.example')
  assert.equal((await tokenBy({ grant_type: JWT_BEARER, assertion: elsewhere })).status, 400)
  const [head = '', body = ''] = assertion.split('.')
  assert.equal((await tokenBy({ grant_type: JWT_BEARER, assertion: `${head}.${body}.AAAA` })).status, 400)

  // Keys that were taken back there are believed no more here, as soon as the bundle says so.
  await root.ask(rotateSpiffe, { input: { reason: 'they leaked', distrust: true } })
  await here.ada.ask(refreshTrustDomain, { params: { domain: 'other.example' } })
  assert.equal((await tokenBy({ grant_type: JWT_BEARER, assertion })).status, 400)
  assert.notEqual((await tokenBy(asClient, tls)).status, 200)
  await here.ada.ask(retireTrustRule, { params: { rule: 'cart' }, input: { reason: 'done' } })
  assert.equal((await tokenBy({ grant_type: JWT_BEARER, assertion: await jwtOf(audience) })).status, 400)
})

test('attack: a rule for a trust domain names one whole identity of it', async () => {
  const rule = (subject: object, more = {}) =>
    here.ada.ask(createTrustRule, {
      params: { identity: 'cart-of-other' },
      input: { name: 'wide', preset: 'spiffe', subject, ...more },
    })

  await assert.rejects(rule({ startsWith: 'spiffe://other.example/workload/' }), refusedAs('invalid-input'))
  await assert.rejects(rule({ is: 'spiffe://other.example' }), refusedAs('invalid-input'))
  await assert.rejects(rule({ is: 'https://other.example/cart' }), refusedAs('invalid-input'))
  await assert.rejects(rule({ is: CART }, { issuer: 'spiffe://example.org' }), refusedAs('invalid-input'))
  await assert.rejects(rule({ is: CART }, { keysUrl: 'https://localhost/keys' }), refusedAs('invalid-input'))
})
