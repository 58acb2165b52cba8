import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { handClock } from '../../../test/support/hand-clock.ts'
import type { Egress } from '../../kernel/egress.ts'
import { systemRandom } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { LeaseFailure, type LeaseTerms, type Site, type WrittenLease } from '../writer.ts'
import { sessionName } from './session.ts'
import { awsWriter } from './writer.ts'

const GRANT = '01890000-0000-7000-8000-00000000000a'
const LEASE = '01890000-0000-7000-8000-00000000000b'
const never = new AbortController().signal
const making = { isWanted: async () => true, keep: async () => true }

/** A stub of STS and IAM: what was asked for, and what is answered by action. test/interop/ has moto. */
function stage(settings: object = {}, answers: Record<string, { status: number; body: string }> = {}) {
  const clock = handClock('2026-05-06T10:00:00.000Z')
  const asked: URLSearchParams[] = []
  const session = () => {
    const until = new Date(clock.now().getTime() + Number(asked.at(-1)?.get('DurationSeconds')) * 1000).toISOString()
    const keys = '<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>'
    return { status: 200, body: `<Credentials>${keys}<Expiration>${until}</Expiration></Credentials>` }
  }
  const egress: Egress = {
    check: () => undefined,
    async ask(_url, { body }) {
      const call = new URLSearchParams(body ?? '')
      asked.push(call)
      const action = call.get('Action') ?? ''
      const { status, body: text } =
        answers[action] ?? (action === 'AssumeRole' ? session() : { status: 200, body: '' })
      return { status, body: Buffer.from(text) }
    },
  }
  const writer = awsWriter({ egress, clock, webIdentity: async () => new Secret('jwt') })
  const whole = { accountId: '123456789012', ...settings }
  const site: Site = { target: 'cloud-1', settings: whole, provisioner: { user: 'AKIA', secret: new Secret('k') } }
  const terms = (more: Partial<LeaseTerms> = {}): LeaseTerms => ({
    account: 'look',
    roles: ['look'],
    databases: [],
    validUntil: new Date('2026-05-06T11:00:00Z'),
    connections: 1,
    actions: ['aws.read'],
    ...more,
  })
  const planned = (more?: Partial<LeaseTerms>) =>
    writer.plan(systemRandom, { leaseId: LEASE, grantId: GRANT, terms: terms(more), settings: whole })
  const lease = (more?: Partial<LeaseTerms>): WrittenLease => ({
    id: LEASE,
    principal: planned(more).principal,
    secret: new Secret(''),
    terms: terms(more),
    details: undefined,
    issuedAt: null,
  })
  const issued = async () => {
    const applied = await writer.apply(site, lease(), making, never)
    return { ...lease(), details: applied.details, secret: applied.secret ?? new Secret(''), issuedAt: clock.now() }
  }
  return { clock, asked, answers, writer, site, lease, planned, issued }
}

const fails = (pattern: RegExp) => (error: unknown) => error instanceof LeaseFailure && pattern.test(error.message)

test('what nothing ends is not dead before it has run out everywhere, also where clocks differ', async () => {
  const { clock, writer, site, issued, planned } = stage()
  const lease = await issued()

  assert.equal(planned().revocability, 'expires-only')
  clock.advance(3600)
  const atExpiry = await writer.verify(site, lease, never)
  clock.advance(61)
  const later = await writer.verify(site, lease, never)

  assert.equal(atExpiry.kind, 'alive')
  assert.ok(atExpiry.kind === 'alive' && atExpiry.until && atExpiry.until > new Date('2026-05-06T11:01:00Z'))
  assert.equal(later.kind, 'dead')
})

test('attack: no session is made that would outlast its grant where nothing could end it', async () => {
  const { writer, site, lease, asked } = stage()
  const short = lease({ validUntil: new Date('2026-05-06T10:10:00Z') })

  await assert.rejects(writer.apply(site, short, making, never), fails(/fifteen minutes at least/))

  assert.deepEqual(asked, [])
})

test('attack: a role whose name is a path, an ARN or another parameter is refused before anything is asked', () => {
  const { planned } = stage()

  for (const role of ['', 'a/b', 'arn:aws:iam::1:role/x', 'look&RoleArn=x', 'a\nb', 'x'.repeat(65)]) {
    assert.throws(() => planned({ roles: [role] }), fails(/no name of a role/), role)
  }
})

test('a denial names one session, and those of sessions that are over are taken away, ours alone', async () => {
  const names = ['reeve-ended-1000-old', 'reeve-ended-99999999999-young', 'theirs', 'reeve-ended-x']
  const members = names.map((name) => `<member>${name}</member>`).join('')
  const listed = {
    status: 200,
    body: `<ListRolePoliciesResponse><PolicyNames>${members}</PolicyNames></ListRolePoliciesResponse>`,
  }
  const { writer, site, issued, asked } = stage({ endsByPolicy: true }, { ListRolePolicies: listed })
  const lease = await issued()
  asked.length = 0

  await writer.end(site, lease, never)

  const gone = asked.filter((call) => call.get('Action') === 'DeleteRolePolicy').map((call) => call.get('PolicyName'))
  const put = asked.find((call) => call.get('Action') === 'PutRolePolicy')
  assert.deepEqual(gone, ['reeve-ended-1000-old'])
  const { Statement } = JSON.parse(put?.get('PolicyDocument') ?? '{}')
  assert.deepEqual(Statement[0].Condition, { StringLike: { 'aws:userid': `*:${lease.principal.split('/')[1]}` } })
  assert.match(put?.get('PolicyName') ?? '', /^reeve-ended-\d{10}-[\w-]{22}$/)
})

test('attack: a refusal proves nothing where the session could not make that call before, so none is handed out', async () => {
  const denied = { status: 403, body: '<Error><Code>UnauthorizedOperation</Code></Error>' }
  const { writer, site, lease } = stage({ endsByPolicy: true }, { DescribeRegions: denied })

  await assert.rejects(writer.apply(site, lease(), making, never), fails(/by which the end of a session is proven/))
})

test('a session that is denied is dead, and one that AWS still takes is not', async () => {
  const { writer, site, issued, answers } = stage({ endsByPolicy: true })
  const lease = await issued()

  const before = await writer.verify(site, lease, never)
  answers['DescribeRegions'] = { status: 403, body: '<Error><Code>UnauthorizedOperation</Code></Error>' }
  const after = await writer.verify(site, lease, never)
  answers['DescribeRegions'] = { status: 503, body: '' }

  assert.deepEqual([before.kind, after.kind], ['alive', 'dead'])
  await assert.rejects(writer.verify(site, lease, never), fails(/could not do it now/))
})

test('a session policy counts only where every granted action has one', async () => {
  const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }] }
  const { writer, site, lease, asked } = stage({ sessionPolicies: { 'aws.read': policy } })

  await writer.apply(site, lease(), making, never)
  await writer.apply(site, lease({ actions: ['aws.read', 'aws.change'] }), making, never)

  const policies = asked.map((call) => call.get('Policy'))
  assert.deepEqual([JSON.parse(policies[0] ?? 'null'), policies[1]], [policy, null])
})

test('a session is named by its grant and its lease, in what STS takes as a name', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.uuid(), (grant, lease) => {
      const name = sessionName(grant, lease)
      assert.match(name, /^[\w+=,.@-]{2,64}$/)
      assert.ok(name.startsWith(`${grant}.`))
    }),
  )
})
