import assert from 'node:assert/strict'
import { test } from 'node:test'
import { operations } from '../src/contracts.ts'

/** Which of the four functions decides over the operations on a thing. A new thing stands here before it has operations. */
const DECIDES: Readonly<Record<string, 'iam' | 'pam' | 'nhi' | 'governance'>> = {
  // IAM: who exists, how entitlements are structured, and who belongs to whom.
  identity: 'iam',
  enrolment: 'iam',
  team: 'iam',
  signal: 'iam',
  'login-link': 'iam',
  'login-session': 'iam',
  passkey: 'iam',
  'step-up': 'iam',
  case: 'iam',
  'lifecycle-event': 'iam',
  'provisioned-user': 'iam',
  vendor: 'iam',
  // PAM: what is high-risk, who may do it now, and what happened in it.
  action: 'pam',
  target: 'pam',
  catalog: 'pam',
  calendar: 'pam',
  access: 'pam',
  grant: 'pam',
  hold: 'pam',
  session: 'pam',
  decision: 'pam',
  // NHI: the credentials of machines and people over their life, and what stands at a target.
  token: 'nhi',
  'trust-rule': 'nhi',
  account: 'nhi',
  ticket: 'nhi',
  key: 'nhi',
  lease: 'nhi',
  credential: 'nhi',
  rotation: 'nhi',
  consumer: 'nhi',
  deposit: 'nhi',
  obligation: 'nhi',
  'local-secret': 'nhi',
  svid: 'nhi',
  'jwt-svid': 'nhi',
  spiffe: 'nhi',
  machine: 'nhi',
  placement: 'nhi',
  'trust-domain': 'nhi',
  'ssh-certificate': 'nhi',
  'ssh-authority': 'nhi',
  source: 'nhi',
  inventory: 'nhi',
  tool: 'nhi',
  // Governance: the rules, their approval, evidence, what is wrong, and what purposes there are.
  policy: 'governance',
  change: 'governance',
  purpose: 'governance',
  ledger: 'governance',
  finding: 'governance',
  path: 'governance',
  owner: 'governance',
  'business-service': 'governance',
  adoption: 'iam',
}

/** Where one operation on a thing is another function's to decide, with the reason. */
const OTHERWISE: Readonly<Record<string, { by: 'iam' | 'pam' | 'nhi' | 'governance'; since: string }>> = {
  'identity.assess': { by: 'governance', since: 'who holds identities against the standard does not manage them' },
  'inventory.adopt': { by: 'iam', since: 'it says who exists' },
  'inventory.unadopt': { by: 'iam', since: 'it takes that back' },
  'target.survey': { by: 'nhi', since: 'it reads which accounts stand there' },
  'account.register': { by: 'pam', since: 'it opens a way to act, with the roles that bound it' },
  'account.certify': { by: 'governance', since: 'who says that a login is right does not run it' },
  'account.list-certifications': { by: 'governance', since: 'it tells who said so' },
  'account.retire': { by: 'pam', since: 'it shuts that way again' },
  'inventory.classify': { by: 'governance', since: 'the class of something decides how it is governed' },
  'policy.explain': { by: 'pam', since: 'it answers a question about access now' },
}

test('each operation has one deciding function, the same for all on a thing but where a reason is written down', () => {
  for (const { id, function: decided } of operations) {
    const [noun = ''] = id.split('.')
    const expected = OTHERWISE[id]?.by ?? DECIDES[noun]
    assert.ok(expected, `${id}: write down in this table which function decides over ${noun}`)
    assert.equal(decided, expected, id)
  }
})

test('nothing stands in the table of decision rights that is no operation', () => {
  const ids = new Set(operations.map(({ id }) => id))

  assert.deepEqual(
    Object.keys(OTHERWISE).filter((id) => !ids.has(id)),
    [],
  )
})

test('who changes what decides is not who only enforces it: policies, teams, calendar and catalog are not one function’s alone', () => {
  const changing = operations.filter(({ id }) => /^(?:policy|team|calendar|catalog)\.activate$/.test(id))

  assert.deepEqual(
    changing.map((operation) => [operation.id, operation.function]),
    [
      ['policy.activate', 'governance'],
      ['team.activate', 'iam'],
      ['calendar.activate', 'pam'],
      ['catalog.activate', 'pam'],
    ],
  )
})
