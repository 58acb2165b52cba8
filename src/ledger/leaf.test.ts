import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { event, personal, shown } from '../kernel/event.ts'
import { systemRandom } from '../kernel/random.ts'
import type { Fact } from './fact.ts'
import { leafOf, leafText } from './leaf.ts'
import { canonicalText, isCanonical } from './tree/canonical.ts'
import { opens } from './tree/commitment.ts'

const thing = event('thing.tested', 'A thing was tested.', {
  z: shown(z.string()),
  a: shown(z.string().nullable().optional()),
  'é "quoted"': shown(z.number()),
  list: shown(z.array(z.string())),
  email: personal(z.string().nullable()),
  at: shown(z.date()),
  hash: shown(z.instanceof(Uint8Array)),
  token: z.string(),
})

const text = fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed())

test('a leaf is canonical, says what was given and nothing secret, and its commitments open', () => {
  const given = fc.record({
    z: text,
    a: fc.option(text),
    'é "quoted"': fc.double({ noNaN: true }),
    list: fc.array(text, { maxLength: 3 }),
    email: fc.option(text),
    at: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('9999-01-01') }),
    hash: fc.uint8Array({ maxLength: 8 }),
    token: fc.constant('hunter2'),
  })
  const optional = fc.record({ action: text, grantId: text, purpose: text, ticket: text }, { requiredKeys: [] })
  fc.assert(
    fc.property(given, optional, fc.array(text, { maxLength: 3 }), text, (facts, more, onBehalfOf, id) => {
      const fact: Fact<typeof thing.facts.shape> = {
        event: thing,
        actor: { id, kind: 'agent' },
        onBehalfOf,
        resource: { type: 'Thing', id },
        decision: { id, policyVersion: '1' },
        outcome: 'refused',
        facts,
        ...more,
      }

      const leaf = leafText(systemRandom, fact, new Date(1e12))

      const said = JSON.parse(leaf.text)
      assert.ok(isCanonical(Buffer.from(leaf.text)))
      assert.equal(canonicalText(said), leaf.text)
      assert.deepEqual(said.actor, { id, kind: 'agent' })
      assert.deepEqual([said.action, said.grant], [more.action ?? null, more.grantId ?? null])
      assert.deepEqual(
        [said.purpose, said.ticket, said.onBehalfOf],
        [more.purpose ?? null, more.ticket ?? null, onBehalfOf],
      )
      assert.deepEqual([said.kind, said.at, said.v], ['thing.tested', '2001-09-09T01:46:40.000Z', 1])
      assert.deepEqual([said.facts.z, said.facts.a, said.facts.list], [facts.z, facts.a, facts.list])
      assert.equal(said.facts.token, '[secret]')
      const opening = leaf.openings[0]
      assert.equal(opening?.value, facts.email ?? undefined)
      if (opening) assert.ok(opens(said.facts.email, opening.salt, opening.value))
    }),
  )
})

test('what is no text, and what no tile can hold, becomes no leaf', () => {
  const fact = (z: string): Fact<typeof thing.facts.shape> => ({
    event: thing,
    actor: { id: null, kind: 'system' },
    resource: { type: 'Thing', id: 'thing' },
    outcome: 'done',
    facts: { z, 'é "quoted"': 1, list: [], email: null, at: new Date(0), hash: new Uint8Array(), token: '' },
  })

  assert.throws(() => leafOf(systemRandom, fact('\ud800'), new Date(0)), TypeError)
  assert.throws(() => leafOf(systemRandom, fact('x'.repeat(65_536)), new Date(0)), RangeError)
})
