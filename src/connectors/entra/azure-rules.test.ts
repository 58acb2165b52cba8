import assert from 'node:assert/strict'
import { test } from 'node:test'
import { levelOf, reaches, type Deny } from './azure-rules.ts'

const may = (
  actions: string[],
  notActions: string[] = [],
  dataActions: string[] = [],
  notDataActions: string[] = [],
) => ({
  actions,
  notActions,
  dataActions,
  notDataActions,
})
const deny = (more: Partial<Deny> = {}): Deny => ({
  name: 'a deny',
  scope: '/subscriptions/s',
  onlyThere: false,
  permissions: [may(['*'])],
  principals: ['ann'],
  isForAll: false,
  namesGroups: false,
  excluded: [],
  excludesGroups: false,
  isConditional: false,
  ...more,
})
const user = { principal: 'Ann', isGroup: false, scope: '/Subscriptions/S/resourceGroups/g/' }

test('what a role lets do is read by its wildcards; what one entry leaves out another may give', () => {
  const cases: [ReturnType<typeof may>[], string][] = [
    [[may(['*'])], 'admin'],
    [[may(['*/write'])], 'admin'],
    [[may(['microsoft.authorization/ROLEassignments/*'])], 'admin'],
    [[may(['Microsoft.Authorization/*/action'])], 'admin'],
    [[may(['*'], ['Microsoft.Authorization/*/Write', 'Microsoft.Authorization/*/action'])], 'write'],
    [[may(['*'], ['Microsoft.Authorization/*']), may(['Microsoft.Authorization/roleAssignments/write'])], 'admin'],
    [
      [may(['Microsoft.Authorization/roleAssignments/writes', 'Microsoft.Authorization/roleAssignment/write'])],
      'write',
    ],
    [[may(['*/read'])], 'read'],
    [[may([], [], ['Microsoft.Storage/*/read'])], 'read'],
    [[may([])], 'use'],
  ]
  for (const [role, level] of cases) assert.equal(levelOf(role, []), level, JSON.stringify(role))
})

test('attack: a deny takes no way that it does not cover, and one that may be covered is neither taken nor kept quiet', () => {
  const cases: [Partial<Deny>, object, ReturnType<typeof reaches>][] = [
    [{}, {}, 'sure'],
    [{ isForAll: true, principals: [] }, {}, 'sure'],
    [{ scope: '/' }, {}, 'sure'],
    [{ scope: '/subscriptions/s2' }, {}, 'no'],
    [{ scope: '/subscriptions/S/resourceGroups/g2' }, {}, 'no'],
    [{ scope: '/subscriptions/s/resourcegroups/g/providers/x/y/z' }, {}, 'maybe'],
    [{ onlyThere: true }, {}, 'maybe'],
    [{ isConditional: true }, {}, 'maybe'],
    [{ principals: ['bob'] }, {}, 'no'],
    [{ principals: ['staff'], namesGroups: true }, {}, 'maybe'],
    [{ isForAll: true, excluded: ['ann'] }, {}, 'no'],
    [{ isForAll: true, excluded: ['bob'] }, {}, 'sure'],
    [{ isForAll: true, excluded: ['staff'], excludesGroups: true }, {}, 'maybe'],
    [{ isForAll: true, excluded: ['bob'] }, { isGroup: true, principal: 'staff' }, 'maybe'],
    [{ principals: ['bob'] }, { isGroup: true, principal: 'staff' }, 'maybe'],
  ]
  for (const [more, held, how] of cases)
    assert.equal(reaches(deny(more), { ...user, ...held }), how, JSON.stringify([more, held]))
})

test('attack: what a deny leaves of a role stays a right', () => {
  const owner = [may(['*'], [], ['*'])]
  const of = (...permissions: ReturnType<typeof may>[]) => levelOf(owner, [deny({ permissions })])
  assert.equal(of(may(['*'], [], ['*'])), 'use')
  // Actions of the management side alone: the data stays.
  assert.equal(of(may(['*'])), 'write')
  assert.equal(of(may(['Microsoft.Authorization/roleAssignments/write'])), 'admin')
  assert.equal(of(may(['Microsoft.Authorization/*'])), 'write')
  assert.equal(of(may(['*'], ['Microsoft.Authorization/roleAssignments/write'])), 'admin')
  assert.equal(of(may(['*/write', '*/action', '*/delete'])), 'write')
})
