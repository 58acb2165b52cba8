import assert from 'node:assert/strict'
import { test } from 'node:test'
import { world } from '../../../test/support/world.ts'
import { principalEntities } from '../../identities/identities.ts'
import { buildSchema } from '../schema.ts'
import { openFacts } from './facts.ts'
import { parseVocabulary } from './vocabulary.ts'

const schema = buildSchema(
  `namespace Reeve {
  entity Person, Machine, Workload, Agent, Document;
  type Context = { now: datetime };
  action "documents";
}`,
  [{ name: 'document.read', groups: ['documents'], resources: ['Document'] }],
)

test('somebody of the record is read once for a question, and is who the record says', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  let statements = 0
  const db = w.db.withPlugin({
    transformQuery: ({ node }) => {
      statements += 1
      return node
    },
    transformResult: async ({ result }) => result,
  })
  const needs = { teams: w.needs.teams, vocabulary: parseVocabulary('', schema) }

  const found = await openFacts(db, needs, schema).subject({ type: 'user', id: founder.name })

  assert.equal(statements, 1)
  assert.ok('entities' in found)
  assert.deepEqual(found.entities, await principalEntities(w.db, w.needs.teams, founder.id))
})
