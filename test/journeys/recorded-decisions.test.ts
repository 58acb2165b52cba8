import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { observationsOf, type Observation } from '../../src/ledger/ledger.ts'
import { explainPolicy, simulatePolicy } from '../../src/policy/contract.ts'
import { authzenWorld, READ, USE, type AuthzenWorld } from '../support/authzen-world.ts'
import { cleaningOfFile } from '../support/installation.ts'

const cleaning = cleaningOfFile()
let here: AuthzenWorld

before(async () => {
  here = await authzenWorld(cleaning)
})

after(() => cleaning.now())

async function entered(): Promise<Observation[]> {
  return Array.fromAsync(observationsOf(here.server.ground.db, 'decision.made', new Date(Date.now() - 3_600_000)))
}

test('an answer is in the ledger before it is given, with who asked, the question and what decided', async () => {
  const answer = await here.evaluate(USE)

  const id = answer.json().context.evaluation_id
  const entry = (await entered()).find(({ decision }) => decision?.id === id)
  assert.ok(entry)
  const { facts } = entry
  assert.equal(entry.actor.kind, 'workload')
  assert.deepEqual(
    [facts['via'], facts['decided'], facts['asked'], facts['isWhole']],
    ['authzen', 'permit', 'postgres.read', true],
  )
  assert.deepEqual(facts['policies'], answer.json().context.policies)
})

test('attack: no name from outside the record can be read in the ledger', async () => {
  const address = 'jane.roe@example.com'
  await here.evaluate({ ...READ, subject: { type: 'user', id: address }, context: { note: address, ticket: address } })
  await here.evaluate({ ...READ, resource: { type: 'document', id: address, properties: { owner: address } } })

  const entries = await entered()
  assert.ok(!JSON.stringify(entries).includes('jane'))
  const [latest] = entries
  assert.match(JSON.stringify(latest?.facts['on']), /print:[0-9a-f]{32}/)
})

test('why, in words: what applies, what lacks, and what would have to change', async () => {
  const { purpose: _purpose, ...context } = USE.context
  const lacking = await here.ada.ask(explainPolicy, { input: { ...USE, context } })
  const owing = await here.ada.ask(explainPolicy, { input: { ...USE, context: { purpose: 'care' } } })
  const unknown = await here.ada.ask(explainPolicy, { input: { ...USE, subject: { type: 'user', id: 'ghost' } } })

  assert.equal(lacking.decision, false)
  assert.match(
    lacking.lines.join('\n'),
    /To change: permit person-reads-outside-production .* would apply if also: .*context has purpose/,
  )
  assert.equal(owing.decision, false)
  assert.match(owing.lines.join('\n'), /Permit person-reads-outside-production .* applies\./)
  assert.match(owing.lines.join('\n'), /Not shown: It must be recorded/)
  assert.deepEqual(unknown.lines, ['Denied. The subject is not known here.'])
})

const policyFiles = () =>
  ['default.cedar', 'documents.cedar'].map((name) => {
    return { name, text: readFileSync(join(here.policies, name), 'utf8') }
  })

test('recorded decisions are asked again by other policies, and what would change is told', async () => {
  await here.evaluate(USE)
  await here.evaluate({
    ...READ,
    resource: { type: 'installation', id: 'installation' },
    action: { name: 'identity.register' },
  })
  const [shipped, documents] = policyFiles()
  assert.ok(shipped && documents)
  const same = await here.ada.ask(simulatePolicy, { input: { days: 1, files: [shipped, documents] } })
  const closed = {
    ...shipped,
    text: `${shipped.text}\nforbid (principal, action in Reeve::Action::"privileged", resource);`,
  }
  const shut = await here.ada.ask(simulatePolicy, { input: { days: 1, files: [closed, documents] } })

  assert.equal(same.changed, 0)
  assert.ok(same.asked > 2, JSON.stringify(same))
  assert.ok(same.notAsked.some(({ why }) => /outside the record/.test(why)))
  assert.ok(shut.changed > 0)
  assert.match(shut.lines[0] ?? '', /^\d+ decisions? would change: \d+ would be refused, 0 permitted, 0 would owe/)
  assert.deepEqual(new Set(shut.changes.map(({ after }) => after)), new Set(['deny']))
})

test('a candidate that is not valid is refused with the place of the fault', async () => {
  const files = [{ name: 'new.cedar', text: 'permit (principal, action, resource)\nwhen { principal.nme == "x" };' }]

  await assert.rejects(
    here.ada.ask(simulatePolicy, { input: { days: 1, files } }),
    (error: { slug?: string; facts: { faults?: { file: string; line: number }[] } }) => {
      assert.equal(error.slug, 'policy-set-invalid')
      assert.deepEqual([error.facts.faults?.[0]?.file, error.facts.faults?.[0]?.line], ['new.cedar', 2])
      return true
    },
  )
})
