import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { ACTIONS_FILE, loadPolicySet, readActions } from './policy-set.ts'

const FOLDER = join(import.meta.dirname, '../../policies')

test('each shipped action is of one group that says who may do it', async () => {
  const actions = await readActions(join(FOLDER, ACTIONS_FILE))

  const set = await loadPolicySet(FOLDER)

  const groups = new Set(actions.flatMap((action) => action.groups))
  const privileged = actions.filter((action) => set.schema.actionGroups.get(action.name)?.has('privileged'))

  assert.ok(actions.length >= 37)
  assert.deepEqual(privileged, [], 'an operation of Reeve is not an act on a target')
  for (const group of groups) assert.ok(set.schema.actionGroups.get(group)?.has('operation'), group)
})
