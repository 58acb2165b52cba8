import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { ledgerKinds, type Granted, type GrantedOptions } from '../../test/support/granted.ts'
import { planeWorld, storyWorld, type PlaneWorld } from '../../test/support/plane-world.ts'
import { toyGateway } from '../../test/support/toy-gateway.ts'
import { sha256 } from '../kernel/crypto.ts'
import { Secret } from '../kernel/secret.ts'
import { openCedarEngine } from '../policy/policy.ts'
import { openPlane } from './host.ts'
import { Refused, type Admission, type Asked, type GatewayAction } from './gateway.ts'

const NEVER = new AbortController().signal

async function world(t: TestContext) {
  const { protocol, actions } = toyGateway()
  return planeWorld(t, { protocol, actions, max: 20 })
}

function grantFor(w: PlaneWorld, options: GrantedOptions = {}): Promise<Granted> {
  return w.grant({ actions: ['toy.read'], login: { account: 'robot', password: 'of the target' }, ...options })
}

function asking(granted: Granted, more: Partial<Asked> = {}): Asked {
  const proof = { kind: 'ticket', secret: new Secret(granted.ticket) } as const
  return { proof, target: granted.target, account: granted.account, clientAddress: '192.0.2.7', ...more }
}

/** Admits, and answers with the code of a refusal instead of throwing it. */
async function tryAdmit(w: PlaneWorld, asked: Asked, signal = NEVER): Promise<Admission | string> {
  try {
    return await w.plane.admit(asked, signal)
  } catch (error) {
    if (error instanceof Refused) return error.code
    throw error
  }
}

function admitted(results: readonly (Admission | string)[]): Admission[] {
  return results.filter((result) => typeof result !== 'string')
}

async function uses(w: PlaneWorld, granted: Granted): Promise<number> {
  const row = await w.db.selectFrom('accessGrant').select('uses').where('id', '=', granted.grantId).executeTakeFirst()
  return row?.uses ?? -1
}

function abort(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason)
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
}

test('an admission carries the grant, the target and the login, and its session leads from opened to ended', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w)

  const admission = await w.plane.admit(asking(granted), NEVER)
  const session = await admission.begin()
  await session.close({ reason: 'closed', sentence: '' })
  await admission[Symbol.asyncDispose]()

  assert.equal(admission.upstream.user, 'robot')
  assert.equal(admission.upstream.password.reveal(), 'of the target')
  assert.deepEqual(admission.grant.actions, ['toy.read'])
  const kinds = await ledgerKinds(w.db, granted.grantId)
  assert.deepEqual(
    kinds.filter((kind) => !kind.startsWith('lease.')),
    ['grant.used', 'session.opened', 'session.ended'],
  )
  const use = await w.db.selectFrom('grantUse').select(['id', 'state']).executeTakeFirstOrThrow()
  assert.deepEqual(use, { id: session.id, state: 'closed' })
})

test('an admission that never begins gives its use back', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w, { maxUses: 1 })

  const first = await w.plane.admit(asking(granted), NEVER)
  assert.equal(await tryAdmit(w, asking(granted)), 'used-up')
  await first[Symbol.asyncDispose]()

  assert.equal(await uses(w, granted), 0)
  const second = await w.plane.admit(asking(granted), NEVER)
  await second.begin()
  await second[Symbol.asyncDispose]()
  assert.equal(await uses(w, granted), 1)
})

test('no interleaving of admissions opens more connections than the grant allows', async (t) => {
  const w = await world(t)
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom('begin', 'give up'), { minLength: 5, maxLength: 12 }),
      async (maxConnections, fates) => {
        const granted = await grantFor(w, { maxConnections })

        const results = await Promise.all(fates.map(() => tryAdmit(w, asking(granted))))
        const held = admitted(results)

        assert.equal(held.length, Math.min(maxConnections, fates.length))
        assert.ok(results.every((result) => typeof result !== 'string' || result === 'too-many'))
        await Promise.all(held.filter((_, n) => fates[n] === 'begin').map((each) => each.begin()))
        await Promise.all(held.map((each) => each[Symbol.asyncDispose]()))
        const after = await tryAdmit(w, asking(granted))
        assert.notEqual(typeof after, 'string', 'what was closed or given back is free again')
        await Promise.all(admitted([after]).map((each) => each[Symbol.asyncDispose]()))
      },
    ),
    { numRuns: 8 },
  )
})

test('a grant for one use carries exactly one session, however many come at once', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w, { maxUses: 1 })

  const results = await Promise.all(Array.from({ length: 12 }, () => tryAdmit(w, asking(granted))))

  const held = admitted(results)
  assert.equal(held.length, 1)
  await held[0]?.begin()
  await held[0]?.[Symbol.asyncDispose]()
  assert.equal(await tryAdmit(w, asking(granted)), 'over', 'it was used up and ended with its only session')
})

test('a wrong ticket, another target and another account are refused in the same words', async (t) => {
  const w = await world(t)
  const [granted, other] = [await grantFor(w), await grantFor(w)]
  const wrong = { kind: 'ticket', secret: new Secret('no such ticket') } as const
  const key = { kind: 'key', spkiSha256: sha256(granted.ticket) } as const

  const told: string[] = []
  for (const more of [
    { proof: wrong },
    { proof: key },
    { target: other.target },
    { target: 'none' },
    { account: 'x' },
  ]) {
    await assert.rejects(w.plane.admit(asking(granted, more), NEVER), (error) => {
      assert.ok(error instanceof Refused)
      return told.push(`${error.code}: ${error.message}`) > 0
    })
  }

  assert.equal(new Set(told).size, 1)
  assert.match(told[0] ?? '', /^unknown: /)
})

test('a ticket that was used from one address opens nothing from another', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w)
  const first = await w.plane.admit(asking(granted), NEVER)

  const stolen = await tryAdmit(w, asking(granted, { clientAddress: '198.51.100.9' }))

  assert.equal(stolen, 'unknown')
  await first[Symbol.asyncDispose]()
})

test('an end that is committed while a connection is being made reaches it, and nothing begins', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w)
  const admission = await w.plane.admit(asking(granted), NEVER)

  await w.revoke(granted.grantId)

  assert.deepEqual(await abort(admission.ended), { reason: 'revoked', sentence: 'This grant was revoked.' })
  await assert.rejects(admission.begin(), { name: 'Refused', code: 'over' })
  await admission[Symbol.asyncDispose]()
  assert.equal(await tryAdmit(w, asking(granted)), 'over')
  assert.equal((await storyWorld(w).sessions(granted.grantId)).length, 0)
})

test('no interleaving of an admission with the end of its grant leaves a session that goes on', async (t) => {
  const w = await world(t)
  for (let round = 0; round < 15; round += 1) {
    const granted = await grantFor(w)
    const [result] = await Promise.all([
      tryAdmit(w, asking(granted)).then(async (outcome) => {
        if (typeof outcome === 'string') return outcome
        const begun = await outcome.begin().catch((error: unknown) => error)
        if (!(begun instanceof Refused)) await abort(outcome.ended)
        await outcome[Symbol.asyncDispose]()
        return 'ended'
      }),
      w.revoke(granted.grantId),
    ])
    assert.ok(['over', 'ended', 'lease'].includes(result), result)
    const open = await w.db
      .selectFrom('grantUse')
      .select('id')
      .where('grantId', '=', granted.grantId)
      .where('state', 'in', ['reserved', 'live'])
      .execute()
    assert.deepEqual(open, [])
  }
})

test('whoever goes away while waiting takes nothing along', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w, { maxUses: 1, maxConnections: 1 })
  const gone = new AbortController()

  const waiting = w.plane.admit(asking(granted), gone.signal)
  gone.abort(new Error('the client is gone'))

  await assert.rejects(waiting, /the client is gone/)
  assert.equal(await uses(w, granted), 0)
})

test('a flood of wrong tickets from one address is stopped before the database; other addresses come in', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w)
  const proof = { kind: 'ticket', secret: new Secret('guess') } as const

  const codes = new Set<unknown>()
  for (let n = 0; n < 260; n += 1) codes.add(await tryAdmit(w, asking(granted, { proof, account: `a${n}` })))

  assert.deepEqual([...codes], ['unknown', 'not-now'])
  assert.equal(await tryAdmit(w, asking(granted)), 'not-now')
  const other = await tryAdmit(w, asking(granted, { clientAddress: '198.51.100.9' }))
  assert.notEqual(typeof other, 'string')
  await Promise.all(admitted([other]).map((each) => each[Symbol.asyncDispose]()))
})

test('connections that succeed are never slowed down', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w)

  for (let n = 0; n < 220; n += 1) {
    const one = await tryAdmit(w, asking(granted))
    if (typeof one === 'string') assert.fail(`connection ${n} was refused: ${one}`)
    await one[Symbol.asyncDispose]()
  }
})

test('a new version of the policies is asked before the next operation', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w)
  const admission = await w.plane.admit(asking(granted), NEVER)
  const session = await admission.begin()
  assert.equal(session.refusal('toy.read'), undefined)
  assert.match(session.refusal('toy.write') ?? '', /not toy\.write.*reeve access request .*--action toy\.write/)

  // The same policies over one action more: another version, that permits the same.
  const more: GatewayAction = { name: 'toy.more', class: 'read', tier: 2, summary: '', obligations: {} }
  w.engine.swap(openCedarEngine(await w.declare([...toyGateway().actions, more])))

  assert.match(session.refusal('toy.read') ?? '', /being decided again/)
  while (session.refusal('toy.read')?.includes('being decided again')) await new Promise((next) => setImmediate(next))
  assert.equal(session.refusal('toy.read'), undefined)

  // Without its action in the policies the same session may do nothing.
  w.engine.swap(openCedarEngine(await w.declare([more])))
  while (session.refusal('toy.read')?.includes('being decided again') ?? true) {
    await new Promise((next) => setImmediate(next))
  }
  assert.match(session.refusal('toy.read') ?? '', /permit this no more/)
  await admission[Symbol.asyncDispose]()
})

test('a proof for a target of another protocol opens nothing here', async (t) => {
  const w = await world(t)
  const granted = await grantFor(w)

  const other = openPlane(w.needs, 'postgres').admit(asking(granted), NEVER)

  await assert.rejects(other, { name: 'Refused', message: /through the toy gateway, not this postgres one/ })
  assert.equal(await uses(w, granted), 0)
})
