import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { decide, permitFrom } from './decide.ts'
import type { Entity } from './entity.ts'
import { openCedarEngine } from './evaluate.ts'
import { noEvidence } from './obligations.ts'
import { loadPolicySet } from './policy-set.ts'

const engine = openCedarEngine(await loadPolicySet(join(import.meta.dirname, '../../policies')))
after(() => engine[Symbol.dispose]())

function revealBy(team: string, isFounder = false) {
  const about = { profile: 'person', tier: 2, state: 'active', ownerState: 'attested', proof: 'token', isFounder }
  const who = { type: 'Person', id: 'p' }
  const what = { type: 'Session', id: 's' }
  const entities: Entity[] = [
    { ...who, attributes: { id: 'p', name: 'p', ...about }, parents: [{ type: 'Team', id: team }] },
    {
      ...what,
      attributes: { id: 's', state: 'ended', subjectId: 'x', requestedBy: 'x', environment: 'production' },
    },
  ]
  const context = { channel: 'api', requestKind: 'ordinary', freeze: false, bootstrap: false, reasonGiven: true }
  return decide(
    engine,
    { subject: who, action: { name: 'session.reveal' }, resource: what, context },
    { decisionId: 'd', now: new Date('2030-01-01T00:00:00Z'), epoch: 'e', entities },
  )
}

test('the values in a recording are opened by security only, and only with a reason', () => {
  const [auditor, founder, security] = [revealBy('auditors'), revealBy('none', true), revealBy('security')]

  assert.deepEqual([auditor.decision, founder.decision, security.decision], [false, false, true])
  assert.equal(permitFrom(security, noEvidence).kind, 'owed')
  assert.equal(permitFrom(security, { ...noEvidence, reasonGiven: true }).kind, 'permit')
})
