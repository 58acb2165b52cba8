import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { resumeIdentity, suspendIdentity } from '../../src/identities/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { openDecider, type Decider, type DeciderOptions } from '../../src/decide.ts'
import { nextTurn } from '../../src/kernel/timer.ts'
import { observationsOf } from '../../src/ledger/ledger.ts'
import { buildPolicySet, openCompiledEngine, type PolicySet } from '../../src/policy/policy.ts'
import { ALL, authzenWorld, READ, USE, type AuthzenWorld } from '../support/authzen-world.ts'
import { eventually } from '../support/eventually.ts'
import { cleaningOfFile } from '../support/installation.ts'

const cleaning = cleaningOfFile()
let here: AuthzenWorld
let decider: Decider

before(async () => {
  const authzen = {
    enforcementPoints: ['gate', 'other'],
    deciders: ['gate', 'mallory'],
    drafts: true,
    entries: 'privileged',
  }
  here = await authzenWorld(cleaning, { authzen })
  decider = await open()
})

after(async () => {
  await decider[Symbol.asyncDispose]()
  await cleaning.now()
})

function open(by: Client = here.gate, more: Partial<DeciderOptions> = {}): Promise<Decider> {
  const { address, authority = '', token } = by.connection
  return openDecider({ url: address.href, ca: authority, token: token?.reveal() ?? '', ...more })
}

/** What of an answer must be the same wherever it was made. */
function essence({ decision, context }: { decision: boolean; context: Record<string, unknown> }) {
  const { policies, reasons, owed, obligations, policy_version } = context
  return { decision, policies, reasons, owed, obligations, policy_version }
}

test('the answer is the server’s own, for every question', async () => {
  const subject = fc.record({
    type: fc.constantFrom('user', 'workload', 'identity', 'document', 'target', 'spaceship'),
    id: fc.constantFrom('bob', 'ada', 'erin', 'other', 'gate', 'ghost', 'd1', 'shop-db'),
    properties: fc.option(fc.record({ proof: fc.constantFrom('spiffe', 'token', 'passkey', 'magic', 1) }), {
      nil: undefined,
    }),
  })
  const resource = fc.oneof(
    fc.record({
      type: fc.constant('document'),
      id: fc.constantFrom('d1', 'plans'),
      properties: fc.record(
        { secret: fc.constantFrom(true, false, 'x'), owner: fc.constantFrom('bob', 'overflow') },
        { requiredKeys: [] },
      ),
    }),
    fc.record({
      type: fc.constantFrom('target', 'account', 'installation', 'purpose', 'identity', 'team', 'user'),
      id: fc.constantFrom('shop-db', 'app@shop-db', 'installation', 'care', 'bob', 'ghost', 'x@y'),
    }),
  )
  const action = fc.record({
    name: fc.constantFrom(
      'READ',
      'document.read',
      'document.delete',
      'page.view',
      'page.change',
      'postgres.read',
      'postgres.admin',
      'target.read',
      'target.retire',
      'identity.read',
      'fly',
    ),
    properties: fc.option(fc.record({ soft: fc.boolean() }), { nil: undefined }),
  })
  const context = fc.record(
    {
      purpose: fc.constantFrom('care', 'ghost', 7),
      supported_obligations: fc.constantFrom(ALL, [], 'x'),
      on_behalf_of: fc.constantFrom({ type: 'user', id: 'ada' }, { type: 'user', id: 'ghost' }, 'ada'),
      reason: fc.constantFrom('it is broken', 'x'),
      ticket: fc.constantFrom('OPS-1', 1),
    },
    { requiredKeys: [] },
  )
  await fc.assert(
    fc.asyncProperty(fc.record({ subject, action, resource, context }), async (question) => {
      const there = (await here.evaluate(question)).json()
      assert.deepEqual(essence(await decider.decide(question)), essence(there), JSON.stringify(question))
    }),
    { numRuns: 150 },
  )
  const permitted = [READ, USE]
  for (const question of permitted) assert.equal((await decider.decide(question)).decision, true)
})

test('what was asked once is answered without asking Reeve again', async () => {
  await decider.decide(READ)
  const { facts } = decider.state()
  let turns = 0
  const over = new AbortController()
  const counting = (async () => {
    for (; !over.signal.aborted; turns += 1) await nextTurn()
  })()
  for (let at = 0; at < 1000; at += 1) assert.equal((await decider.decide(READ)).decision, true)

  over.abort()
  // No turn of the loop, so no message from anywhere.
  assert.ok(turns <= 1, String(turns))
  await counting
  assert.equal(decider.state().facts, facts)
})

test('attack: who is suspended at Reeve is denied here, within the bound', async () => {
  const question = {
    subject: { type: 'workload', id: 'other', properties: { proof: 'spiffe' } },
    action: { name: 'page.view' },
    resource: { type: 'document', id: 'd1' },
  }
  assert.equal((await decider.decide(question)).decision, true)
  await here.ada.ask(suspendIdentity, { params: { identity: 'other' }, input: { reason: 'it is looked into' } })

  await eventually(async () => ((await decider.decide(question)).decision ? undefined : true))
  await here.ada.ask(resumeIdentity, { params: { identity: 'other' } })
  await eventually(async () => ((await decider.decide(question)).decision ? true : undefined))
})

/** The set with a policy more. */
function withShut({ policies, schema, risk, words }: PolicySet): PolicySet {
  const files = new Map<string, string>()
  for (const { file, text } of policies.values()) files.set(file, `${files.get(file) ?? ''}\n${text}`)
  files.set('shut.cedar', '@id("shut") forbid (principal, action == Reeve::Action::"document.read", resource);')
  const named = [...files].map(([name, text]) => ({ name, text }))
  return buildPolicySet(named, schema, risk, words.text)
}

/** Asks until it is denied. A permit is older than what it stands on, so none is given later than the bound after what ended it. */
async function deniedWithinTheBound(question: unknown): Promise<Awaited<ReturnType<Decider['decide']>>> {
  const endedAtMs = performance.now()
  return eventually(async () => {
    const askedAtMs = performance.now()
    const answer = await decider.decide(question)
    if (!answer.decision) return answer
    assert.ok(askedAtMs - endedAtMs <= 5_000, 'a permit was given after the bound')
    return undefined
  })
}

test('attack: policies that take over while it runs, and a change of the record, are no longer than the bound away', async () => {
  const { engine } = here.server.domains.decided
  const was = engine.current()
  assert.equal((await decider.decide(READ)).decision, true)

  engine.swap(await openCompiledEngine(withShut(was.set)))
  const { sha256 } = engine.current().set
  await deniedWithinTheBound(READ)
  const denied = await eventually(async () => {
    const answer = await decider.decide(READ)
    return answer.context.policy_version === sha256 ? answer : undefined
  })
  assert.deepEqual([denied.decision, denied.context.policies], [false, ['shut']])
  assert.equal(decider.state().policyVersion, sha256)
  engine.swap(await openCompiledEngine(was.set))
  await eventually(async () => ((await decider.decide(READ)).decision ? true : undefined))

  const who = { params: { identity: 'bob' } }
  await here.ada.ask(suspendIdentity, { ...who, input: { reason: 'left the company' } })
  await deniedWithinTheBound(READ)
  await here.ada.ask(resumeIdentity, who)
  await eventually(async () => ((await decider.decide(READ)).decision ? true : undefined))
})

test('a hint of the record alone is told to those who follow', async () => {
  const { heard } = here.server.domains.decided
  const before = heard()
  await sql`select pg_notify('reeve_record', 'target:nothing')`.execute(here.server.ground.db)

  await eventually(async () => (heard() > before ? true : undefined))
})

test('attack: only who is named for it is sent the policies: no other enforcement point, no person of that name', async () => {
  for (const client of [here.other, here.mallory]) await assert.rejects(open(client), /may not do decision\.sync/)
  await assert.rejects(open(here.gate, { token: 'reeve_token_made-up' }), /valid token/)
  await assert.rejects(open(here.gate, { url: 'http://reeve.example' }), /https/)
})

test('what is no question, and what nobody could decide, is a deny', async () => {
  for (const question of [undefined, null, 7, {}, { subject: {} }, { ...READ, action: {} }]) {
    assert.equal((await decider.decide(question)).decision, false)
  }
})

async function entered(): Promise<string[]> {
  const found: string[] = []
  for await (const { facts } of observationsOf(here.server.ground.db, 'decision.made', new Date(0))) {
    const { via, asked, decided } = Object(facts)
    if (via === 'library') found.push(`${asked} ${decided}`)
  }
  return found
}

test('a decision about a privileged act stands in the ledger, in the name of who made it', async () => {
  assert.equal((await decider.decide(USE)).decision, true)

  await eventually(async () => ((await entered()).includes('postgres.read permit') ? true : undefined))
  assert.equal(decider.state().lost, 0)
  assert.ok((await entered()).every((entry) => !entry.startsWith('document.')))
})

test('attack: no privileged act without its entry: where none can be kept it is denied, and what was lost is counted', async () => {
  await using narrow = await open(here.gate, { mostQueued: 0 })

  assert.equal((await narrow.decide(READ)).decision, true)
  const { decision, context } = await narrow.decide(USE)
  assert.deepEqual([decision, context.reasons], [false, ['Its entry could not be kept.']])
})

test('attack: with Reeve out of reach nothing is permitted for longer than the bound', async () => {
  const short = await open(here.gate, { staleMs: 1_000 })
  await eventually(async () => ((await short.decide(READ)).decision ? true : undefined))
  await here.server[Symbol.asyncDispose]()

  const denied = await eventually(async () => {
    const answer = await short.decide(READ)
    return answer.decision ? undefined : answer
  })
  assert.match(denied.context.reasons?.join(' ') ?? '', /not been heard of for too long|could not be decided/)
  await short[Symbol.asyncDispose]()
})
