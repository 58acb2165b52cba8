import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { world, type World } from '../../test/support/world.ts'
import { transact } from '../kernel/db.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import { conflict, invalidInput, notFound } from '../kernel/problem.ts'
import { Secret } from '../kernel/secret.ts'
import { enrolmentInvalid, IssuedToken, ownCredentialOnly, ownerless, Token, type Identity } from './contract.ts'
import {
  authenticate,
  enrolIdentity,
  ensureFounderEnrolment,
  identityOpenRoutes,
  issueToken,
  listTokens,
  loadIdentityByName,
  loseOwner,
  redeemEnrolment,
  registerIdentity,
  revokeToken,
  suspendIdentity,
} from './identities.ts'
import { bearerSha256 } from './bearer.ts'
import { teamsLoaded } from './events.ts'
import { findToken } from './tokens.ts'

/** How a person with a bare token proves themselves. */
const BARE = { proof: 'token', proofId: '00000000-0000-7000-8000-000000000001' } as const
const TTL = { label: 'ci', ttlSeconds: 3600 }

function enrol(w: World, by: Identity, whom: Identity, ttlSeconds = 900) {
  return w.run((tx) =>
    enrolIdentity(tx, w.needs, w.permit('identity.enrol', by, whom), { caller: BARE, input: { ttlSeconds } }),
  )
}

function redeem(w: World, secret: Secret, name?: string) {
  const input = { secret: secret.reveal(), label: 'first', ...(name !== undefined && { name }) }
  return transact(w.db, (tx) => redeemEnrolment(tx, w.needs, input))
}

function issue(w: World, by: Identity, whom: Identity) {
  return w.run((tx) => issueToken(tx, w.needs, w.permit('token.issue', by, whom), { caller: BARE, input: TTL }))
}

async function founderLink(w: World) {
  const link = await ensureFounderEnrolment(w.db, w.needs)
  assert.ok(link)
  return link.secret
}

const isInvalid = (error: unknown) => enrolmentInvalid.is(error)

test('the first link makes the founder, whose token proves them; from then on no link is given out', async (t) => {
  const w = await world(t)

  const issued = await redeem(w, await founderLink(w), 'ada')

  const ada = await loadIdentityByName(w.db, 'ada')
  assert.equal(ada?.isFounder, true)
  assert.equal(ada?.state, 'active')
  const caller = await authenticate(w.db, w.clock, issued.token)
  assert.deepEqual(caller, { id: ada?.id, name: 'ada', kind: 'human', proof: 'token', proofId: issued.id })
  assert.equal(await ensureFounderEnrolment(w.db, w.needs), undefined)
})

test('attack: of many redemptions of one link at once, exactly one gets a token', async (t) => {
  const w = await world(t)
  const secret = await founderLink(w)

  const tries = await Promise.allSettled(Array.from({ length: 8 }, (_, at) => redeem(w, secret, `founder-${at}`)))

  const won = tries.filter((each) => each.status === 'fulfilled')
  assert.equal(won.length, 1)
  for (const each of tries) if (each.status === 'rejected') assert.ok(enrolmentInvalid.is(each.reason))
  const { count } = await w.db
    .selectFrom('identity')
    .select((is) => is.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  assert.equal(count, 1)
})

test('attack: two links of two nodes that started at once make one founder', async (t) => {
  const w = await world(t)
  const older = await founderLink(w)
  // As a node would see it that had read the table before the other node wrote.
  await w.run(async (tx) => {
    const cause = await w.needs.ledger.record(tx, {
      event: teamsLoaded,
      actor: { id: null, kind: 'system' },
      resource: { type: 'Installation', id: 'installation' },
      outcome: 'done',
      facts: { sha256: '', teams: [] },
    })
    await tx
      .insertInto('enrolment')
      .values({
        id: '00000000-0000-7000-8000-000000000001',
        identityId: null,
        secretSha256: bearerSha256(new Secret('reeve_enrol_other')),
        createdAt: w.clock.now(),
        expiresAt: new Date(w.clock.now().getTime() + 60_000),
        usedAt: null,
        cause,
      })
      .execute()
  })

  const both = await Promise.allSettled([redeem(w, older, 'ada'), redeem(w, new Secret('reeve_enrol_other'), 'eve')])

  assert.deepEqual(both.map((each) => each.status).sort(), ['fulfilled', 'rejected'])
  const lost = both.find((each) => each.status === 'rejected')
  assert.ok(enrolmentInvalid.is(lost?.reason))
})

test('a link for the founder that was made anew ends the one before', async (t) => {
  const w = await world(t)
  const older = await founderLink(w)
  const newer = await founderLink(w)

  await assert.rejects(redeem(w, older, 'eve'), isInvalid)
  await assert.rejects(redeem(w, newer), (error) => invalidInput.is(error))

  await redeem(w, newer, 'ada')
})

test('attack: used, expired, replaced, unknown and suspended links have one answer', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const messages = new Set<string>()
  const refused = async (secret: Secret) => {
    await assert.rejects(redeem(w, secret), (error: Error) => {
      messages.add(error.message)
      return isInvalid(error)
    })
  }

  const used = await enrol(w, founder, alice)
  await redeem(w, used.secret)
  await refused(used.secret)
  w.clock.advance(1)
  const replaced = await enrol(w, founder, alice)
  const expired = await enrol(w, founder, alice, 60)
  await refused(replaced.secret)
  w.clock.advance(60)
  await refused(expired.secret)
  await refused(new Secret('reeve_enrol_nobody-made-this'))
  const last = await enrol(w, founder, alice)
  await w.run((tx) =>
    suspendIdentity(tx, w.needs, w.permit('identity.suspend', founder, alice), { reason: 'on leave' }),
  )
  await refused(last.secret)

  assert.equal(messages.size, 1)
})

test('a registered person begins to act by redeeming the link; a workload nobody answers for gets none', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const register = (kind: 'human' | 'workload', name: string) =>
    w.run((tx) =>
      registerIdentity(tx, w.needs, w.permit('identity.register', founder), {
        kind,
        name,
        profile: kind === 'human' ? 'person' : 'pipeline',
        environment: 'production',
        tier: 2,
      }),
    )
  const alice = await register('human', 'alice')
  const job = await register('workload', 'job')

  const link = await enrol(w, founder, alice)
  await redeem(w, link.secret)

  assert.equal((await w.reload(alice)).state, 'active')
  await assert.rejects(enrol(w, founder, job), (error) => ownerless.is(error))
})

test('attack: a link that was decided on before the first credential is not made after it', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const early = w.permit('identity.enrol', founder, alice)
  const link = await enrol(w, founder, alice)
  await redeem(w, link.secret)

  const late = w.run((tx) => enrolIdentity(tx, w.needs, early, { caller: BARE, input: { ttlSeconds: 900 } }))

  await assert.rejects(late, (error) => conflict.is(error))
})

test('attack: nobody gets a token of another person', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')

  await assert.rejects(issue(w, founder, alice), (error) => ownCredentialOnly.is(error))

  assert.deepEqual((await listTokens(w.db, alice.id, { limit: 10 })).items, [])
})

test('attack: what is stored and what is listed of a token does not hold it', async (t) => {
  const w = await world(t)
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  const { token, ...issued } = await issue(w, alice, job)
  const value = token.reveal()

  const row = await w.db.selectFrom('apiToken').selectAll().executeTakeFirstOrThrow()
  const listed = await listTokens(w.db, job.id, { limit: 10 })
  const leaves = await w.db.selectFrom('ledgerEntry').select('leaf').execute()

  const random = value.replace('reeve_token_', '')
  assert.match(value, /^reeve_token_[\w-]{43}$/)
  assert.ok(!JSON.stringify([row, listed, issued]).includes(random))
  assert.ok(!JSON.stringify(listed).includes(row.tokenSha256.toString('hex')))
  assert.deepEqual(Object.keys(listed.items[0] ?? {}).sort(), Object.keys(Token.shape).sort())
  for (const { leaf } of leaves) assert.ok(!leaf.includes(random) && !leaf.includes(row.tokenSha256.toString('hex')))
  assert.ok('token' in IssuedToken.shape)
  const byHash = new Secret(row.tokenSha256.toString('hex'))
  assert.equal(await authenticate(w.db, w.clock, byHash), undefined, 'a stolen hash proves nothing')
})

test('attack: a token proves nobody once it is over, revoked, or its identity is suspended or past its end', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  const short = await w.workload('short', alice, { expiresAt: '2030-01-01T00:30:00Z' })
  const whose = async (issued: { token: Secret }) => (await authenticate(w.db, w.clock, issued.token))?.name
  const [first, second, third, fourth] = [
    await issue(w, alice, job),
    await issue(w, alice, job),
    await issue(w, alice, alice),
    await issue(w, alice, short),
  ]
  assert.deepEqual(await Promise.all([first, second, third, fourth].map(whose)), ['job', 'job', 'alice', 'short'])

  const permit = w.permit('token.revoke', alice, { type: 'Token', id: first.id })
  const revoked = await w.run((tx) => revokeToken(tx, w.needs, permit))
  await w.run((tx) =>
    suspendIdentity(tx, w.needs, w.permit('identity.suspend', founder, alice), { reason: 'on leave' }),
  )
  w.clock.advance(1800)

  assert.notEqual(revoked.revokedAt, null)
  assert.deepEqual(await Promise.all([first, second, third, fourth].map(whose)), [
    undefined,
    'job',
    undefined,
    undefined,
  ])
  w.clock.advance(1800)
  assert.equal(await whose(second), undefined)
  await assert.rejects(
    w.run((tx) => revokeToken(tx, w.needs, permit)),
    (error) => conflict.is(error),
  )
  for (const odd of ['', 'reeve_token_', 'x'.repeat(10_000), '\0', second.token.reveal().toUpperCase()]) {
    assert.equal(await authenticate(w.db, w.clock, new Secret(odd)), undefined)
  }
})

test('a workload whose owner is lost gets no token', async (t) => {
  const w = await world(t)
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  await w.run((tx) => loseOwner(tx, w.needs, w.permit('identity.lose-owner', alice, job), { reason: 'left the team' }))

  await assert.rejects(issue(w, alice, job), (error) => ownerless.is(error))
})

test('attack: a token of another is unknown to a stranger, as one that never was', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const dave = await w.person('dave')
  const job = await w.workload('job', alice)
  const other = await w.workload('other', alice)
  const { id } = await issue(w, alice, job)
  const nothing = '00000000-0000-7000-8000-000000000009'

  for (const stranger of [dave, other]) {
    const answers: unknown[] = []
    for (const asked of [id, nothing]) {
      await assert.rejects(findToken(w.db, w.needs.teams, stranger, asked), (error: Error) => {
        answers.push(error.message)
        return notFound.is(error)
      })
    }
    assert.equal(answers[0], answers[1])
  }
  for (const known of [job, alice, founder]) {
    assert.equal((await findToken(w.db, w.needs.teams, known, id)).token.id, id)
  }
})

/** The door of enrolment, with somebody who certifies keys as the test says. */
function doorBy(w: World, certify: (whose: string) => Promise<string>) {
  const needs = {
    ...w.needs,
    db: w.db,
    certify: (_key: string, { identityId }: { identityId: string }) => certify(identityId),
  }
  const [door] = identityOpenRoutes(needs)
  assert.ok(door)
  return async (secret: Secret, name?: string) => {
    const { publicKey } = await newKeyPair()
    const input = { secret: secret.reveal(), label: 'first', publicKey, ...(name !== undefined && { name }) }
    const signal = new AbortController().signal
    const answer = await door.run({ params: {}, query: {}, input, clientAddress: '127.0.0.1', signal })
    return z.object({ identityId: z.string(), certificate: z.string() }).parse(answer)
  }
}

test('a key that cannot certify spends no link: the same one is redeemed when it can', async (t) => {
  const w = await world(t)
  const founders = await founderLink(w)
  const failing = doorBy(w, () => Promise.reject(new Error('the token was pulled out')))
  const working = doorBy(w, async (whose) => `of ${whose}`)

  await assert.rejects(failing(founders, 'ada'), /pulled out/)
  const ada = await working(founders, 'ada')
  const alice = await w.person('alice')
  const link = await enrol(w, await w.reload({ id: ada.identityId }), alice)
  await assert.rejects(failing(link.secret), /pulled out/)
  const first = await working(link.secret)

  assert.deepEqual([ada.certificate, first.certificate], [`of ${ada.identityId}`, `of ${alice.id}`])
  assert.equal((await listTokens(w.db, alice.id, { limit: 10 })).items.length, 1)
  await assert.rejects(working(link.secret), (error) => enrolmentInvalid.is(error))
})

test('attack: a link that is shown many times while keys are certified is redeemed once, and nobody else hears what was certified', async (t) => {
  const w = await world(t)
  const founders = await founderLink(w)
  const all = Promise.withResolvers<void>()
  let asked = 0
  const slow = doorBy(w, async (whose) => {
    asked += 1
    if (asked === 6) all.resolve()
    await all.promise
    return `of ${whose}`
  })

  const tries = await Promise.allSettled(Array.from({ length: 6 }, (_, at) => slow(founders, `founder-${at}`)))

  const made = tries.filter((each) => each.status === 'fulfilled')
  assert.equal(made.length, 1)
  const people = await w.db.selectFrom('identity').select('id').where('isFounder', '=', true).execute()
  assert.deepEqual(people, [{ id: made[0]?.value.identityId }])
  assert.equal(made[0]?.value.certificate, `of ${people[0]?.id}`)
})
