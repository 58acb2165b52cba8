import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { accessWorld, Refusal, type AccessWorld, type Ticket } from '../../test/support/access-world.ts'
import type { Identity } from '../identities/contract.ts'
import { Problem } from '../kernel/problem.ts'
import {
  approveRequest,
  beginUse,
  closeUse,
  denyRequest,
  finishGrant,
  loadRequest,
  releaseUse,
  revokeGrant,
  sweepAccess,
  withdrawRequest,
  type Use,
} from './access.ts'
import type { AccessRequest } from './contract.ts'

/** Two of the owner team, so that approvals of several people race; the person who asks, and a second identity, are of it too. */
const TEAMS = {
  payments: { members: ['alice', 'alice-admin', 'bob', 'erin', 'dave'] },
  security: { members: ['carol'] },
}
const GATE = (text: string) => text.replaceAll('"1 of owner(target)"', '"2 of owner(target)"')

/** Operations of one batch run at the same time; which request or ticket they mean is taken modulo what there is. */
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('approve' as const), by: fc.nat(4), at: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('deny', 'withdraw'), by: fc.nat(4), at: fc.nat(2) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('revoke', 'done', 'suspend'), by: fc.nat(4), at: fc.nat(2) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('ticket' as const), by: fc.nat(1), at: fc.nat(2) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('use' as const), by: fc.nat(1), at: fc.nat(5) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('begin', 'release', 'close'), by: fc.nat(1), at: fc.nat(7) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('sweep', 'advance'), by: fc.nat(3), at: fc.constant(0) }) },
)
type Operation = { readonly do: string; readonly by: number; readonly at: number }
const batches = fc.array(fc.array(operation, { minLength: 4, maxLength: 12 }), { minLength: 3, maxLength: 9 })

/** Enough for every kind of move to be met many times over. */
const RUNS = 40

type Run = {
  readonly world: AccessWorld
  readonly people: readonly Identity[]
  readonly requests: readonly AccessRequest[]
  readonly tickets: Ticket[]
  readonly uses: Use[]
}

test('no interleaving of approve, deny, withdraw, revoke, expire, use and release breaks a rule', async (t) => {
  const world = await accessWorld(t, { teams: TEAMS, policies: GATE, max: 24 })
  const erin = await world.person('erin')
  const second = await world.further('alice-admin', world.alice)
  const people = [world.alice, world.bob, erin, second, world.dave]
  const { orders, alice: approver, bob: proposer } = world
  await world.purpose('long', { proposer, approver, targets: [orders] }, { expiresAt: '2040-01-01T00:00:00Z' })

  await fc.assert(
    fc.asyncProperty(batches, async (plan) => {
      const run = await begin(world, people)
      for (const batch of plan) {
        await Promise.all(batch.map((one) => attempt(run, one)))
        await checkRules(run)
      }
    }),
    { numRuns: RUNS },
  )

  const reached = await sql<{ word: string; times: number }>`
    select state as word, count(*) as times from grant_use group by 1
    union all select state, count(*) from access_request group by 1
    union all select end_reason, count(*) from access_grant where ended_at is not null group by 1`.execute(world.db)
  const words = new Set(reached.rows.map((row) => row.word))
  const expected = ['live', 'released', 'closed', 'granted', 'denied', 'withdrawn', 'expired', 'revoked', 'done']
  assert.deepEqual(
    expected.filter((word) => !words.has(word)),
    [],
    'the interleavings reach every kind of move',
  )
})

/** Two that wait for two approvals, for one use and for three; one that is granted at once, for one connection at a time. */
async function begin(world: AccessWorld, people: readonly Identity[]): Promise<Run> {
  const { dave, ask } = world
  const requests = [
    await ask(dave, { purpose: 'long', uses: 1, connections: 3, ttlSeconds: 120 }),
    await ask(dave, { purpose: 'long', uses: 3, connections: 2, ttlSeconds: 300 }),
    await ask(dave, { purpose: 'long', actions: ['postgres.read'], uses: 3, connections: 1, ttlSeconds: 200 }),
  ]
  const grantId = requests[2]?.grantId ?? ''
  return {
    world,
    people,
    requests,
    tickets: [await world.ticket(grantId, true), await world.ticket(grantId)],
    uses: [],
  }
}

/** Does it and swallows every refusal; anything but a refusal breaks the test. */
async function attempt(run: Run, one: Operation): Promise<void> {
  try {
    await perform(run, one)
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Refusal)) throw error
  }
}

async function perform({ world, people, requests, tickets, uses }: Run, one: Operation): Promise<void> {
  const { access, permit, run, db, clock } = world
  const request = pick(requests, one.at)
  const who = pick(people, one.by)
  const onRequest = { type: 'AccessRequest', id: request.id }
  const onGrant = async () => ({ type: 'Grant', id: (await loadRequest(db, request.id))?.grantId ?? randomUUID() })
  switch (one.do) {
    case 'approve':
      await run((tx) => approveRequest(tx, access, permit('access.approve', who, onRequest), request))
      return
    case 'deny':
      await run((tx) => denyRequest(tx, access, permit('access.deny', who, onRequest), {}))
      return
    case 'withdraw':
      await run((tx) => withdrawRequest(tx, access, permit('access.withdraw', world.dave, onRequest)))
      return
    case 'revoke': {
      const on = await onGrant()
      await run((tx) => revokeGrant(tx, access, permit('grant.revoke', who, on), { reason: 'no more' }))
      return
    }
    case 'done': {
      const on = await onGrant()
      await run((tx) => finishGrant(tx, access, permit('grant.done', world.dave, on)))
      return
    }
    case 'suspend':
      // Rare: it ends everything the person has.
      if (one.by === 0) await world.endOf(world.dave, 'identity-suspended')
      return
    case 'ticket': {
      const on = await onGrant()
      tickets.push(await world.ticket(on.id, one.by === 0))
      return
    }
    case 'use':
      if (tickets.length > 0) uses.push(await world.use(pick(tickets, one.at), `10.0.0.${one.by}`))
      return
    case 'begin':
      if (uses.length > 0) await run((tx) => beginUse(tx, access, { useId: pick(uses, one.at).id }))
      return
    case 'release':
      if (uses.length > 0) await run((tx) => releaseUse(tx, access, { useId: pick(uses, one.at).id }))
      return
    case 'close':
      if (uses.length > 0) await run((tx) => closeUse(tx, access, { useId: pick(uses, one.at).id }))
      return
    case 'sweep':
      await sweepAccess(db, access)
      return
    default:
      clock.advance([1, 30, 90, 4000][one.by] ?? 1)
  }
}

function pick<T>(from: readonly T[], at: number): T {
  const found = from[at % from.length]
  if (found === undefined) throw new Error('nothing to pick from')
  return found
}

/** The rules, read from the rows and the ledger alone: every line returned is a broken one. */
async function checkRules({ world, requests, people }: Run): Promise<void> {
  const ids = requests.map((request) => request.id)
  const [alice, , , second, dave] = people
  const { rows } = await sql<{ broken: string }>`
    with r as (select * from access_request where id = any(${ids}::uuid[])),
         g as (select * from access_grant where request_id in (select id from r)),
         u as (select * from grant_use where grant_id in (select id from g)),
         e as (select id, kind, grant_id, resource_id from ledger_entry
                where grant_id in (select id from g) or resource_id in (select id from r)),
         a as (select * from request_approval where request_id in (select id from r))
    select 'a use was reserved after its grant had ended' as broken
      from e used join e ended on ended.grant_id = used.grant_id
     where used.kind = 'grant.used' and ended.kind = 'grant.ended' and used.id > ended.id
    union all
    select 'a use was reserved outside the time of its grant'
      from u join g on g.id = u.grant_id where u.reserved_at < g.starts_at or u.reserved_at >= g.expires_at
    union all
    select 'a use went live after the end of its grant'
      from u join g on g.id = u.grant_id where u.begun_at > g.ended_at or u.begun_at >= g.expires_at
    union all
    select 'more uses than granted'
      from g where max_uses < (select count(*) from u where u.grant_id = g.id and u.state <> 'released')
    union all
    select 'the count of uses is not what was used'
      from g where ended_at is null and uses <> (select count(*) from u where u.grant_id = g.id and u.state <> 'released')
    union all
    select 'more connections at once than granted'
      from g where max_connections < (select count(*) from u where u.grant_id = g.id and u.state in ('reserved', 'live'))
    union all
    select 'a single-use ticket was used twice'
      from grant_proof p where p.is_single_use and p.grant_id in (select id from g)
       and 1 < (select count(*) from u where u.proof_id = p.id)
    union all
    select 'a ticket was used from two places'
      from grant_proof p where p.grant_id in (select id from g)
       and 1 < (select count(distinct u.address) from u where u.proof_id = p.id)
    union all
    select 'a use without its entry, or an entry without its use'
      from g where (select count(*) from u where u.grant_id = g.id) <>
                   (select count(*) from e where e.grant_id = g.id and e.kind = 'grant.used')
    union all
    select 'a release, a start or a close without exactly one entry'
      from g where (select count(*) from u where u.grant_id = g.id and u.state = 'released') <>
                   (select count(*) from e where e.grant_id = g.id and e.kind = 'grant.use-released')
          or (select count(*) from u where u.grant_id = g.id and u.begun_at is not null) <>
             (select count(*) from e where e.grant_id = g.id and e.kind = 'grant.use-begun')
          or (select count(*) from u where u.grant_id = g.id and u.state = 'closed') <>
             (select count(*) from e where e.grant_id = g.id and e.kind = 'grant.use-closed')
    union all
    select 'a grant does not have exactly one making and, once ended, exactly one end'
      from g where 1 <> (select count(*) from e where e.grant_id = g.id and e.kind = 'grant.made')
          or (g.ended_at is not null)::int <> (select count(*) from e where e.grant_id = g.id and e.kind = 'grant.ended')
    union all
    select 'a request and its grant do not agree'
      from r where (r.state = 'granted') <> exists (select from g where g.request_id = r.id)
    union all
    select 'a decided request does not have exactly the entry of its decision'
      from r join (values ('denied', 'access.denied'), ('withdrawn', 'access.withdrawn'), ('expired', 'access.expired'), ('void', 'access.voided'))
        d (state, kind) on true
     where (r.state = d.state)::int <> (select count(*) from e where e.resource_id = r.id and e.kind = d.kind)
    union all
    select 'an approval without its entry'
      from r where (select count(*) from a where a.request_id = r.id and a.verdict = 'approve') <>
                   (select count(*) from e where e.resource_id = r.id and e.kind = 'access.approved')
    union all
    select 'somebody approved their own request' from a where a.approver_id = ${dave?.id}
    union all
    select 'a grant without two distinct people behind it'
      from g join r on r.id = g.request_id
     where r.obligations -> 'approval' <> '[]'
       and 2 > (select count(distinct case when a.approver_id = ${second?.id} then ${alice?.id} else a.approver_id end)
                  from a where a.request_id = r.id and a.verdict = 'approve')`.execute(world.db)
  assert.deepEqual(
    rows.map((row) => row.broken),
    [],
  )
}
