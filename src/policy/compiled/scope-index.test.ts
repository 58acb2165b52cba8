import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPolicy } from './policy.ts'
import { ScopeIndex } from './scope-index.ts'
import { emptyRecord, EntityNode } from './value.ts'

function entity(type: string, id: string, within: readonly EntityNode[] = []): EntityNode {
  const node = new EntityNode(type, id)
  node.facts = { attributes: emptyRecord, tags: new Map(), ancestors: new Set(within.map(({ key }) => key)) }
  return node
}

const read = entity('Action', 'read')
const view = entity('Action', 'view', [read])
const share = entity('Action', 'share')
const document = entity('Doc', 'orders', [entity('Folder', 'production')])

/** Ten thousand policies: each for a team of its own, by one of the ways a scope can say so. */
function indexOfThousands(): ScopeIndex {
  const index = new ScopeIndex()
  for (let at = 0; at < 10_000; at += 1) {
    const team = { type: 'Team', id: `team-${at}` }
    const json = {
      effect: 'permit',
      principal: at % 2 === 0 ? { op: 'in', entity: team } : { op: 'is', entity_type: 'User', in: { entity: team } },
      action:
        at % 3 === 0
          ? { op: '==', entity: { type: 'Action', id: 'read' } }
          : { op: 'in', entity: { type: 'Action', id: 'read' } },
      resource: at % 5 === 0 ? { op: 'in', entity: { type: 'Folder', id: 'production' } } : { op: 'All' },
      conditions: [],
    }
    index.add(readPolicy({ id: `p${at}`, json }, at))
  }
  return index
}

test('a question meets the policies whose scope it fits and no other, of ten thousand', () => {
  const index = indexOfThousands()
  const teams = [10, 11, 12].map((at) => entity('Team', `team-${at}`))
  const met = (principal: EntityNode, action: EntityNode, resource: EntityNode) =>
    index
      .find(principal, action, resource)
      .flat()
      .map(({ id }) => id)
      .sort()

  const user = entity('User', 'ann', teams)
  // Of team 12 the policy names the group itself as the action, which no member of the group is.
  assert.deepEqual(met(user, view, document), ['p10', 'p11'])
  assert.deepEqual(met(user, read, document), ['p10', 'p11', 'p12'])
  assert.deepEqual(met(user, view, entity('Doc', 'elsewhere')), ['p11'])
  assert.deepEqual(met(user, share, document), [])
  assert.deepEqual(met(entity('User', 'bob'), view, document), [])
})

test('a member of more groups than there are policies meets just the policies of those groups', () => {
  const index = indexOfThousands()
  const user = entity(
    'User',
    'ann',
    Array.from({ length: 50_000 }, (_, at) => entity('Team', `team-${at * 7}`)),
  )

  // Multiples of seven below ten thousand that are not multiples of three.
  const expected = Array.from({ length: 10_000 }, (_, at) => at).filter((at) => at % 7 === 0 && at % 3 !== 0)
  assert.equal(index.find(user, view, document).flat().length, expected.length)
})
