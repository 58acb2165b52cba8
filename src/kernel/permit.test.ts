import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPermit, mintPermit, type Permit, type PermitTerms } from './permit.ts'

const terms: PermitTerms<'grant.revoke'> = {
  action: 'grant.revoke',
  subject: { type: 'Person', id: 'ann' },
  onBehalfOf: [],
  resource: { type: 'Grant', id: 'g1' },
  policyEpoch: '7',
  decisionId: 'd1',
  evaluatedAt: new Date('2030-01-01T00:00:00Z'),
}

function revoke(permit: Permit<'grant.revoke'>): string {
  return permit.resource.id
}

test('a permit binds action, subject, resource, epoch and decision', () => {
  const permit = mintPermit(terms)

  assert.equal(revoke(permit), 'g1')
  assert.deepEqual(
    [permit.action, permit.subject, permit.policyEpoch, permit.decisionId, permit.evaluatedAt],
    ['grant.revoke', { type: 'Person', id: 'ann' }, '7', 'd1', terms.evaluatedAt],
  )
})

test('a permit for one action is none for another, and what looks like one is none', () => {
  const permit = mintPermit(terms)
  // Each of these is an attack that must not compile.
  // @ts-expect-error a literal has no brand
  const literal: Permit<'grant.revoke'> = { ...terms }
  // @ts-expect-error a copy has lost the brand
  const copy: Permit<'grant.revoke'> = { ...permit } // oxlint-disable-line typescript/no-misused-spread
  // @ts-expect-error the permit is for another action
  const other: Permit<'grant.use'> = permit
  // @ts-expect-error what it binds does not change
  assert.throws(() => (permit.resource = { type: 'Grant', id: 'g2' }), TypeError)

  assert.equal(isPermit(permit), true)
  assert.equal(isPermit(literal), false)
  assert.equal(isPermit(copy), false)
  assert.equal(isPermit(Object.create(Object.getPrototypeOf(permit) as object)), false)
  assert.equal(other, permit)
})

test('the constructor reached through a permit makes no permit', () => {
  const made = mintPermit(terms)

  const construct = () =>
    Reflect.construct(made.constructor, [Symbol('minting'), { ...terms, action: 'policy.change' }])

  assert.throws(construct, /comes from a decision/)
})

test('what a permit binds cannot be changed afterwards', () => {
  const resource = { type: 'Grant', id: 'g1' }
  const permit = mintPermit({ ...terms, resource })

  resource.id = 'g2'
  permit.evaluatedAt.setFullYear(1999)

  assert.equal(permit.resource.id, 'g1')
  assert.equal(permit.evaluatedAt.getUTCFullYear(), 2030)
  assert.throws(() => Object.assign(permit.resource, { id: 'g3' }), TypeError)
  assert.throws(() => Object.assign(permit, { extra: 1 }), TypeError)
})
