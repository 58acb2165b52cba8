import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose'
import { z } from 'zod'
import { eventually } from '../../../test/support/eventually.ts'
import { cleaningOfFile, founded } from '../../../test/support/installation.ts'
import { spiffeWorld, type SpiffeWorld } from '../../../test/support/spiffe-world.ts'
import type { Client } from '../../cli/client.ts'
import { ApiProblem } from '../../cli/problems.ts'
import { loseOwner, suspendIdentity } from '../../identities/contract.ts'
import { transact, type Tx } from '../../kernel/db.ts'
import { newKeyPair } from '../../kernel/key-pair.ts'
import { listEntries } from '../../ledger/contract.ts'
import { issueJwtSvid, issueX509Svid, readSpiffeBundle, rotateSpiffe } from './contract.ts'

let here: SpiffeWorld
const cleaning = cleaningOfFile()

before(async () => {
  here = await spiffeWorld(cleaning)
})
after(() => cleaning.now())

const Bundle = z.object({
  keys: z.array(z.looseObject({ use: z.string(), x5c: z.array(z.string()).optional(), kid: z.string().optional() })),
  spiffe_sequence: z.int(),
  spiffe_refresh_hint: z.int(),
})

async function bundle() {
  return Bundle.parse(JSON.parse((await here.nobody.bytes(readSpiffeBundle)).toString('utf8')))
}

async function svid(by: Client, identity: string, more: Readonly<Record<string, unknown>> = {}) {
  const { publicKey } = await newKeyPair()
  return by.ask(issueX509Svid, { params: { identity }, input: { publicKey, ...more } })
}

const jwtSvid = (by: Client, identity: string, audience = ['spiffe://example.org/workload/db']) =>
  by.ask(issueJwtSvid, { params: { identity }, input: { audience } })

const refusedAs = (slug: string) => (error: unknown) => error instanceof ApiProblem && error.slug === slug

/** The certificates that the bundle says to trust. */
async function anchors(): Promise<X509Certificate[]> {
  const { keys } = await bundle()
  return keys.flatMap(({ x5c }) => (x5c ?? []).map((der) => new X509Certificate(Buffer.from(der, 'base64'))))
}

async function verifies(certificate: string): Promise<boolean> {
  const leaf = new X509Certificate(certificate)
  return (await anchors()).some((anchor) => leaf.checkIssued(anchor) && leaf.verify(anchor.publicKey))
}

async function verifiesJwt(token: string, audience: string): Promise<boolean> {
  const { keys } = await bundle()
  const ofJwt = keys.filter(({ use }) => use === 'jwt-svid').map((key) => ({ ...key, use: 'sig' }))
  const jwks: JSONWebKeySet = JSON.parse(JSON.stringify({ keys: ofJwt }))
  return jwtVerify(token, createLocalJWKSet(jwks), { audience }).then(
    () => true,
    () => false,
  )
}

test('a workload gets an X509-SVID of its own that the bundle verifies, and an entry says so', async () => {
  const api = await here.workload('payments-api')

  const issued = await svid(api, 'payments-api', { ttlSeconds: 900 })

  const leaf = new X509Certificate(issued.certificate)
  assert.equal(issued.spiffeId, 'spiffe://example.org/workload/payments-api')
  assert.equal(leaf.subjectAltName, `URI:${issued.spiffeId}`)
  assert.equal(leaf.ca, false)
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
  assert.ok(Math.abs(leaf.validToDate.getTime() - issued.expiresAt.getTime()) < 1000)
  assert.ok(await verifies(issued.certificate))
  for (const anchor of await anchors()) assert.equal(anchor.subjectAltName, 'URI:spiffe://example.org')
  const { items } = await here.ada.ask(listEntries, { query: { limit: 200 } })
  assert.ok(JSON.stringify(items).includes('payments-api'))
})

test('a JWT-SVID is for its audience, short, and says nothing but what the specification allows in its header', async () => {
  const api = await here.workload('orders-api')

  const { token, spiffeId, expiresAt } = await jwtSvid(api, 'orders-api', ['spiffe://example.org/workload/db'])

  assert.equal(spiffeId, 'spiffe://example.org/workload/orders-api')
  const [header = '', claims = ''] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString('utf8'))
  assert.deepEqual(Object.keys(JSON.parse(header)).toSorted(), ['alg', 'kid', 'typ'])
  assert.equal(JSON.parse(header).typ, 'JWT')
  assert.equal(JSON.parse(header).alg, 'ES256')
  assert.equal(JSON.parse(claims).sub, spiffeId)
  assert.equal(JSON.parse(claims).exp, expiresAt.getTime() / 1000)
  assert.ok(await verifiesJwt(token, 'spiffe://example.org/workload/db'))
  assert.ok(!(await verifiesJwt(token, 'spiffe://example.org/workload/other')))
})

test('attack: nobody gets a document of another, and people get none', async () => {
  const api = await here.workload('mine')
  await here.workload('theirs')

  await assert.rejects(svid(api, 'theirs'), refusedAs('not-permitted'))
  await assert.rejects(jwtSvid(api, 'theirs'), refusedAs('not-permitted'))
  await assert.rejects(svid(here.bob, 'mine'), refusedAs('not-permitted'))
  await assert.rejects(svid(here.bob, 'bob'), refusedAs('not-permitted'))
  await assert.rejects(svid(here.ada, 'mine'), refusedAs('not-permitted'))
})

test('attack: who is stopped, or answered for by nobody any more, gets none', async () => {
  const stopped = await here.workload('stopped')
  const orphan = await here.workload('orphan')

  await here.ada.ask(suspendIdentity, { params: { identity: 'stopped' }, input: { reason: 'it leaked' } })
  await here.ada.ask(loseOwner, { params: { identity: 'orphan' }, input: { reason: 'the team is gone' } })

  await assert.rejects(svid(stopped, 'stopped'))
  await assert.rejects(svid(orphan, 'orphan'), refusedAs('not-permitted'))
  await assert.rejects(jwtSvid(orphan, 'orphan'), refusedAs('not-permitted'))
})

test('a privileged identity gets its documents for minutes and not for a bare token, and nobody beyond its own expiry', async () => {
  const bare = await here.workload('vault-of-old', { tier: 1 }, false)
  await assert.rejects(svid(bare, 'vault-of-old'), refusedAs('not-permitted'))
  const privileged = await here.workload('vault', { tier: 0 })
  const soon = new Date(Date.now() + 300_000)
  const brief = await here.workload('batch', { expiresAt: soon.toISOString() })

  const inSeconds = (at: Date) => (at.getTime() - Date.now()) / 1000
  assert.ok(inSeconds((await svid(privileged, 'vault')).expiresAt) <= 600)
  assert.ok((await svid(brief, 'batch')).expiresAt.getTime() <= soon.getTime())
})

test('a key that verifiers could not use, or that is none, is refused with a sentence', async () => {
  const api = await here.workload('odd-keys')
  const ask = (publicKey: string) => api.ask(issueX509Svid, { params: { identity: 'odd-keys' }, input: { publicKey } })

  await assert.rejects(ask('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'), refusedAs('invalid-input'))
  await assert.rejects(ask('nothing'), refusedAs('invalid-input'))
})

test('the next keys are in the bundle before they sign, the old ones while anything of theirs is in use', async () => {
  const api = await here.workload('turning')
  const old = { x509: await svid(api, 'turning'), jwt: await jwtSvid(api, 'turning', ['db']) }
  const before = await bundle()

  const { items } = await here.ada.ask(rotateSpiffe, { input: { reason: 'a month has passed' } })

  assert.deepEqual(items.map(({ kind, state }) => `${kind} ${state}`).toSorted(), [
    'jwt next',
    'jwt signing',
    'jwt trusted',
    'x509 next',
    'x509 signing',
    'x509 trusted',
  ])
  const fresh = { x509: await svid(api, 'turning'), jwt: await jwtSvid(api, 'turning', ['db']) }
  const known = new Set(before.keys.flatMap(({ x5c }) => x5c ?? []))
  const leaf = new X509Certificate(fresh.x509.certificate)
  assert.ok([...known].some((der) => leaf.verify(new X509Certificate(Buffer.from(der, 'base64')).publicKey)))
  assert.ok((await verifies(old.x509.certificate)) && (await verifiesJwt(old.jwt.token, 'db')))
  assert.ok((await verifies(fresh.x509.certificate)) && (await verifiesJwt(fresh.jwt.token, 'db')))
  assert.ok((await bundle()).spiffe_sequence > before.spiffe_sequence)
  await assert.rejects(here.ada.ask(rotateSpiffe, { input: { reason: 'again' } }), refusedAs('conflict'))
})

test('what distrusted keys signed verifies no more', async () => {
  const api = await here.workload('leaked')
  const old = { x509: await svid(api, 'leaked'), jwt: await jwtSvid(api, 'leaked', ['db']) }

  await here.ada.ask(rotateSpiffe, { input: { reason: 'it leaked', distrust: true } })

  assert.ok(!(await verifies(old.x509.certificate)))
  assert.ok(!(await verifiesJwt(old.jwt.token, 'db')))
  assert.ok(await verifies((await svid(api, 'leaked')).certificate))
  await assert.rejects(here.bob.ask(rotateSpiffe, { input: { reason: 'why not' } }), refusedAs('not-permitted'))
})

/** As another node commits it: nobody tells this one but the database. */
async function elsewhere(change: (tx: Tx, cause: number) => Promise<unknown>): Promise<void> {
  const { db } = here.server.ground
  await transact(db, async (tx) => {
    const { rows } = await sql<{ id: number }>`
      insert into ledger_entry (xid, at, kind, leaf) values ('0', now(), 'test.changed', '{}') returning id`.execute(tx)
    await change(tx, rows[0]?.id ?? 0)
  })
}

test('attack: whom another node stopped, and what it distrusted, is worth nothing as soon as the database says so', async () => {
  const shop = await here.workload('remembered')
  const { certificate } = await svid(shop, 'remembered')
  const stateIs = (state: 'suspended' | 'active') =>
    elsewhere((tx, cause) =>
      tx.updateTable('identity').set({ state, cause }).where('name', '=', 'remembered').execute(),
    )

  await stateIs('suspended')
  await eventually(
    async () =>
      (await svid(shop, 'remembered').then(
        () => false,
        () => true,
      )) || undefined,
  )
  await stateIs('active')
  await eventually(
    async () =>
      (await svid(shop, 'remembered').then(
        () => true,
        () => false,
      )) || undefined,
  )

  const signing = await elsewhereTurned()
  const since = await eventually(async () => {
    const next = await svid(shop, 'remembered')
    return new X509Certificate(next.certificate).verify(signing.publicKey) ? next : undefined
  })
  assert.equal(new X509Certificate(certificate).verify(signing.publicKey), false)
  assert.ok(since.bundle.includes(signing.toString().trim()))
})

/** Lets the next key sign, and distrusts the others; its certificate. */
async function elsewhereTurned(): Promise<X509Certificate> {
  let next: Buffer = Buffer.alloc(0)
  await elsewhere(async (tx, cause) => {
    const row = await tx
      .selectFrom('spiffeAuthority')
      .select(['id', 'certificate'])
      .where('kind', '=', 'x509')
      .where('state', '=', 'next')
      .executeTakeFirstOrThrow()
    next = row.certificate ?? next
    const over = { state: 'retired', sealedKey: null, cause } as const
    const authorities = () => tx.updateTable('spiffeAuthority').where('kind', '=', 'x509')
    await authorities().set(over).where('state', 'in', ['signing', 'trusted']).execute()
    await authorities().set({ state: 'signing', signsAt: new Date(), cause }).where('id', '=', row.id).execute()
  })
  return new X509Certificate(next)
}

test('two that issue first at the same moment use the same keys', async (t) => {
  const other = await spiffeWorld(t)
  const api = await other.workload('first')

  const issued = await Promise.all(Array.from({ length: 8 }, () => svid(api, 'first')))

  const issuers = issued.map(({ certificate }) => new X509Certificate(certificate).issuer)
  assert.equal(new Set(issuers).size, 1)
  const rows = await other.database.db.selectFrom('spiffeAuthority').select(['kind', 'state']).execute()
  assert.equal(rows.length, 4)
})

test('without a trust domain nothing is issued, and the answer says what to set', async (t) => {
  const bare = await founded(t, { spiffe: {} })

  await assert.rejects(bare.nobody.bytes(readSpiffeBundle), refusedAs('no-trust-domain'))
})
