import assert from 'node:assert/strict'
import { test } from 'node:test'
import { holdAct, holdOperation, narrowedFurther, parseDetails, type Act, type Narrowed } from './details.ts'

const type = 'urn:reeve:access'
const ACT: Act = { purpose: 'release', target: 'shop-db', account: 'app', actions: ['postgres.read'] }
const isHeld = (narrowedTo: Narrowed | undefined, act: Act) => {
  try {
    holdAct(narrowedTo ? { narrowedTo } : {}, 'access.request', act)
    return false
  } catch {
    return true
  }
}

test('a narrowed token asks for what one of its details names whole, and for nothing else', () => {
  const wide = [
    { type, purpose: 'release', targets: ['shop-db'], actions: ['postgres.read', 'postgres.write'] },
  ] as const

  assert.equal(isHeld(undefined, ACT), false)
  assert.equal(isHeld(wide, ACT), false)
  for (const other of [
    { ...ACT, purpose: 'other' },
    { ...ACT, target: 'other' },
    { ...ACT, actions: ['postgres.read', 'postgres.schema'] },
  ]) {
    assert.equal(isHeld(wide, other), true)
  }
  assert.equal(isHeld([{ type, accounts: ['admin'] }], ACT), true)
  // Two that each name a half do not name the whole.
  const halves = [
    { type, targets: ['shop-db'], actions: ['postgres.write'] },
    { type, targets: ['other'], actions: ['postgres.read'] },
  ] as const
  assert.equal(isHeld(halves, ACT), true)
})

test('a narrowed token calls what leads to its access only', () => {
  const narrowedTo = [{ type, purpose: 'release' }] as const

  holdOperation({ narrowedTo }, 'access.request')
  holdOperation({}, 'identity.register')
  for (const operation of ['token.issue', 'grant.list', 'change.apply', 'identity.register', 'metrics.read', '']) {
    assert.throws(() => holdOperation({ narrowedTo }, operation), { slug: 'not-permitted' }, operation)
  }
})

test('what is not known in details is refused, and what is narrowed is never widened', () => {
  const held = parseDetails(JSON.stringify([{ type, targets: ['a', 'b'] }]))
  const asked = parseDetails(JSON.stringify([{ type, targets: ['a'], actions: ['postgres.read'] }]))

  assert.deepEqual(narrowedFurther(held, asked), asked)
  assert.deepEqual(narrowedFurther(held, null), held)
  assert.deepEqual(narrowedFurther(null, asked), asked)
  assert.throws(() => narrowedFurther(asked, held), { code: 'invalid_authorization_details' })
  for (const text of ['', '{}', '[]', '[{}]', '[{"type":"x"}]', `[{"type":"${type}"}]`, `[{"type":"${type}","x":1}]`]) {
    assert.throws(() => parseDetails(text), { code: 'invalid_authorization_details' }, text)
  }
})
