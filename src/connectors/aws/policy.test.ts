import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { known } from '../connector.ts'
import type { Account, Managed, Role, User } from './account.ts'
import { readDocument } from './document.ts'
import { decide, type Answer } from './evaluate.ts'
import { isLike } from './glob.ts'
import { tellRights } from './rights.ts'
import { tellPolicies } from './statements.ts'
import { tellTrusts } from './trust.ts'

const HERE = '123456789012'
const policy = (...statements: object[]) =>
  readDocument(JSON.stringify({ Version: '2012-10-17', Statement: statements }))
const allow = (Action: string | string[], Resource: string | string[] = '*', more = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...more,
})
const deny = (Action: string | string[], Resource: string | string[] = '*', more = {}) => ({
  Effect: 'Deny',
  Action,
  Resource,
  ...more,
})
const mfa = { Condition: { Bool: { 'aws:MultiFactorAuthPresent': 'true' } } }

function asked(
  statements: object[],
  action: string,
  resource = 'arn:aws:s3:::shop/a',
  more: { boundary?: object[]; context?: Record<string, string> } = {},
): Answer {
  const boundary = more.boundary && [policy(...more.boundary)]
  return decide({ identity: [policy(...statements)], boundary }, { action, resource, context: more.context ?? {} })
}

test('patterns are as IAM has them, in any text, and no pattern takes long', () => {
  const Piece = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '.', '\\', '('), maxLength: 12 })
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'b', '.', '\\', '('), maxLength: 12 }),
      Piece,
      (text, pattern) => {
        const source = pattern
          .replaceAll(/[.\\(]/g, '\\$&')
          .replaceAll('*', '.*')
          .replaceAll('?', '.')
        assert.equal(isLike(text, pattern), new RegExp(`^${source}$`, 's').test(text))
      },
    ),
  )
  assert.equal(isLike('a'.repeat(5_000), `${'*a'.repeat(50)}b`), false)
})

test('a policy that is not understood is not taken for one without rights', () => {
  for (const text of [
    undefined,
    '',
    'x',
    '%7B',
    '%',
    '{}',
    '{"Statement":[{"Effect":"Maybe","Action":"*"}]}',
    '{"Statement":[{"Effect":"Allow"}]}',
    '{"Statement":[{"Effect":"Allow","Action":"*","NotAction":"*"}]}',
    '{"Statement":[{"Effect":"Allow","Action":"*","Condition":[]}]}',
    '{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{}}]}',
  ])
    assert.equal(readDocument(text), undefined, text)
  const unread = { identity: [undefined], boundary: undefined }
  assert.equal(decide(unread, { action: 's3:GetObject', resource: '*', context: {} }).is, 'depends')
  assert.equal(
    readDocument(encodeURIComponent('{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'))?.length,
    1,
  )
})

test('a denial beats every permission, a boundary only takes away, and what depends on its use is not guessed', () => {
  const cases: [Answer, Answer['is']][] = [
    [asked([allow('s3:Get*')], 'S3:getObject'), 'yes'],
    [asked([], 's3:GetObject'), 'no'],
    [asked([allow('*'), deny('s3:*', 'arn:aws:s3:::shop/*')], 's3:GetObject'), 'no'],
    [asked([allow('*'), deny('s3:*', 'arn:aws:s3:::other/*')], 's3:GetObject'), 'yes'],
    [asked([{ Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }], 's3:GetObject'), 'yes'],
    [asked([{ Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }], 'iam:CreateUser'), 'no'],
    [asked([{ Effect: 'Allow', Action: '*', NotResource: 'arn:aws:s3:::shop/*' }], 's3:GetObject'), 'no'],
    [asked([allow('s3:*'), { Effect: 'Deny', NotAction: 's3:Get*', Resource: '*' }], 's3:PutObject'), 'no'],
    [asked([allow('*')], 's3:GetObject', undefined, { boundary: [allow('ec2:*')] }), 'no'],
    [asked([allow('s3:*')], 's3:GetObject', undefined, { boundary: [allow('*')] }), 'yes'],
    [asked([allow('*')], 's3:GetObject', undefined, { boundary: [allow('*'), deny('s3:*')] }), 'no'],
    [asked([allow('s3:*', '*', mfa)], 's3:GetObject'), 'depends'],
    [asked([allow('*'), deny('s3:*', '*', mfa)], 's3:GetObject'), 'depends'],
    [asked([allow('s3:*', '*', mfa), deny('*')], 's3:GetObject'), 'no'],
    [
      asked([allow('s3:*', 'arn:aws:s3:::shop/${aws:username}/*')], 's3:GetObject', 'arn:aws:s3:::shop/ann/x'),
      'depends',
    ],
    [
      asked([allow('s3:*', 'arn:aws:s3:::shop/${aws:username}/*')], 's3:GetObject', 'arn:aws:s3:::shop/ann/x', {
        context: { 'aws:username': 'ann' },
      }),
      'yes',
    ],
    [
      asked([allow('s3:*', 'arn:aws:s3:::shop/${aws:username}/*')], 's3:GetObject', 'arn:aws:s3:::shop/eve/x', {
        context: { 'aws:username': 'ann' },
      }),
      'no',
    ],
  ]
  for (const [at, [answer, wanted]] of cases.entries()) assert.equal(answer.is, wanted, `case ${at}`)
  assert.deepEqual(asked([allow('s3:*', '*', mfa)], 's3:GetObject'), {
    is: 'depends',
    on: ['aws:MultiFactorAuthPresent'],
  })
})

test('conditions on what is known are decided, by each operator', () => {
  const context = { 'aws:principalarn': `arn:aws:iam::${HERE}:user/ann`, 'iam:passedtoservice': 'lambda.amazonaws.com' }
  const of = (operator: string, key: string, values: string | string[]) =>
    asked([allow('*', '*', { Condition: { [operator]: { [key]: values } } })], 's3:GetObject', '*', { context }).is
  assert.equal(of('StringEquals', 'iam:PassedToService', ['ec2.amazonaws.com', 'lambda.amazonaws.com']), 'yes')
  assert.equal(of('StringEquals', 'iam:PassedToService', 'lambda.*'), 'no')
  assert.equal(of('ForAnyValue:StringLike', 'iam:PassedToService', 'lambda.*'), 'yes')
  assert.equal(of('StringNotEquals', 'iam:PassedToService', 'lambda.amazonaws.com'), 'no')
  assert.equal(of('StringNotLikeIfExists', 'iam:PassedToService', 'ec2.*'), 'yes')
  assert.equal(of('ArnLike', 'aws:PrincipalArn', 'arn:aws:iam::*:user/*'), 'yes')
  assert.equal(of('ArnNotEquals', 'aws:PrincipalArn', `arn:aws:iam::${HERE}:user/ann`), 'no')
  assert.equal(of('Null', 'aws:PrincipalArn', 'false'), 'yes')
  assert.equal(of('DateGreaterThan', 'aws:PrincipalArn', 'x'), 'depends')
  assert.equal(of('StringEquals', 'aws:SourceVpc', 'vpc-1'), 'depends')
  assert.equal(of('StringEquals', 'aws:PrincipalArn', '${aws:username}'), 'depends')
})

test('adding a denial never gives anything, nor does adding a boundary', () => {
  const Action = fc.constantFrom('*', 's3:*', 's3:Get*', 'iam:*', 's3:PutObject')
  const Written = fc.record({
    Effect: fc.constantFrom('Allow', 'Deny'),
    Action,
    Resource: fc.constantFrom('*', 'arn:aws:s3:::shop/*', 'arn:aws:s3:::other/*'),
    Condition: fc.constantFrom({}, mfa.Condition),
  })
  const rank = { no: 0, depends: 1, yes: 2 }
  fc.assert(
    fc.property(
      fc.array(Written, { maxLength: 5 }),
      Action,
      fc.array(Written, { maxLength: 4 }),
      (statements, denied, boundary) => {
        const before = rank[asked(statements, 's3:GetObject').is]
        assert.ok(rank[asked([...statements, deny(denied)], 's3:GetObject').is] <= before)
        assert.ok(rank[asked(statements, 's3:GetObject', undefined, { boundary }).is] <= before)
      },
    ),
  )
})

const believesLambda = policy({
  Effect: 'Allow',
  Principal: { Service: 'lambda.amazonaws.com' },
  Action: 'sts:AssumeRole',
})
type Of<T> = Partial<Omit<T, 'inline'>> & {
  readonly name: string
  readonly says?: object[]
  readonly isUnread?: boolean
}
const holder = (
  { name, says = [], boundary, attached = [] }: Pick<Of<User>, 'name' | 'says' | 'boundary' | 'attached'>,
  sort: string,
) => ({
  id: `${sort}-${name}`,
  name,
  arn: `arn:aws:iam::${HERE}:${sort}/${name}`,
  path: '/',
  createdAt: known(new Date(0)),
  inline: says.length > 0 ? [{ name: 'says', statements: policy(...says) }] : [],
  attached,
  boundary,
  tags: {},
})
const user = ({ groups = [], ...of }: Of<User>): User => ({ ...holder(of, 'user'), groups, kind: 'user' })
const role = ({ trust = believesLambda, ...of }: Of<Role>): Role => ({
  instanceProfiles: [],
  lastUsed: undefined,
  ...holder(of, 'role'),
  trust: of.isUnread === true ? undefined : trust,
  kind: 'role',
})
const managed = (name: string, ...says: object[]): Managed => {
  const arn = `arn:aws:iam::${HERE}:policy/${name}`
  return {
    kind: 'policy',
    id: arn,
    name,
    arn,
    createdAt: known(new Date(0)),
    updatedAt: known(new Date(0)),
    statements: policy(...says),
  }
}
function account(of: Partial<Omit<Account, 'policies'>> & { readonly policies?: readonly Managed[] }): Account {
  return {
    users: [],
    groups: [],
    roles: [],
    ...of,
    policies: new Map((of.policies ?? []).map((one) => [one.arn, one])),
  }
}

/** Who, by what, on what: what depends ends in `?`. */
async function rights(of: Parameters<typeof account>[0]): Promise<string[]> {
  const { told } = await tellRights(account(of), HERE, new AbortController().signal)
  return told
    .flatMap((one) =>
      one.kind === 'grant'
        ? [`${one.principal.id} ${one.privilege} ${one.on.id}${one.level === 'use' ? '?' : ''}`]
        : [],
    )
    .sort()
}

const ADMIN = allow('*')
const byAccount = policy({ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${HERE}:root` }, Action: 'sts:AssumeRole' })

test('who may give itself any right administers the account, unless a boundary or a denial keeps it', async () => {
  const self = allow('iam:PutUserPolicy', `arn:aws:iam::${HERE}:user/\${aws:username}`)
  const bound = managed('bound', allow(['s3:*', 'iam:PutUserPolicy']))
  const owned = managed('owned', allow('s3:*'))
  const users = [
    user({ name: 'admin', says: [ADMIN] }),
    user({ name: 'admin-but', says: [ADMIN, deny('iam:*')] }),
    user({ name: 'self', says: [self] }),
    user({ name: 'other', says: [allow('iam:PutUserPolicy', `arn:aws:iam::${HERE}:user/self`)] }),
    user({ name: 'bounded', says: [self], boundary: bound.arn }),
    user({
      name: 'loose',
      says: [self, allow('iam:DeleteUserPermissionsBoundary')],
      boundary: managed('wide', allow('iam:*')).arn,
    }),
    user({ name: 'writer', says: [allow('iam:CreatePolicyVersion', owned.arn)], attached: [owned.arn] }),
    user({ name: 'with-mfa', says: [allow('iam:AttachUserPolicy', '*', mfa)] }),
    user({ name: 'bounded-admin', says: [ADMIN], boundary: bound.arn }),
    user({ name: 'unread-boundary', says: [ADMIN], boundary: 'arn:aws:iam::1:policy/none' }),
  ]
  const found = await rights({ users, policies: [bound, owned, managed('wide', allow('iam:*'))] })
  assert.deepEqual(
    found.filter((one) => one.endsWith(HERE) || one.endsWith(`${HERE}?`)),
    [
      `user-admin * ${HERE}`,
      `user-loose iam:PutUserPolicy ${HERE}`,
      `user-self iam:PutUserPolicy ${HERE}`,
      `user-unread-boundary * ${HERE}?`,
      `user-with-mfa iam:AttachUserPolicy ${HERE}?`,
      `user-writer iam:CreatePolicyVersion ${HERE}`,
    ],
  )
})

test('a role is had by assuming it, by being named, by passing it to what runs, or by rewriting whom it believes', async () => {
  const named = (name: string) =>
    policy({ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${HERE}:${name}` }, Action: 'sts:AssumeRole' })
  const users = [
    user({ name: 'asks', says: [allow('sts:AssumeRole')] }),
    user({ name: 'named' }),
    user({ name: 'named-denied', says: [deny('sts:*')] }),
    user({ name: 'named-bounded', boundary: managed('bound', allow('s3:*')).arn }),
    user({
      name: 'passes',
      says: [
        allow('iam:PassRole', '*', { Condition: { StringEquals: { 'iam:PassedToService': 'lambda.amazonaws.com' } } }),
        allow('lambda:*', `arn:aws:lambda:*:${HERE}:function:dev-*`),
      ],
    }),
    user({ name: 'passes-only', says: [allow('iam:PassRole'), allow('lambda:CreateFunction')] }),
    user({ name: 'rewrites', says: [allow('iam:UpdateAssumeRolePolicy', `arn:aws:iam::${HERE}:role/inside`)] }),
  ]
  const roles = [
    role({ name: 'inside', trust: byAccount }),
    role({ name: 'for-named', trust: named('user/named') }),
    role({ name: 'for-denied', trust: named('user/named-denied') }),
    role({ name: 'for-bounded', trust: named('user/named-bounded') }),
    role({ name: 'for-role', trust: named('role/narrow') }),
    role({ name: 'narrow', trust: policy(), boundary: managed('bound', allow('s3:*')).arn }),
    role({ name: 'runs' }),
    role({ name: 'unread', isUnread: true }),
  ]
  const found = await rights({ users, roles, policies: [managed('bound', allow('s3:*'))] })
  assert.deepEqual(found, [
    'user-asks sts:AssumeRole role-inside',
    'user-named sts:AssumeRole role-for-named',
    'user-named-bounded sts:AssumeRole role-for-bounded',
    'user-passes iam:PassRole + lambda:CreateFunction role-runs',
    'user-rewrites iam:UpdateAssumeRolePolicy role-inside',
  ])
})

test('a login of somebody else is made, and a group joined, only where nothing denies it', async () => {
  const users = [
    user({
      name: 'maker',
      says: [allow('iam:CreateAccessKey'), deny('iam:CreateAccessKey', `arn:aws:iam::${HERE}:user/safe`)],
    }),
    user({ name: 'joiner', says: [allow('iam:AddUserToGroup', `arn:aws:iam::${HERE}:group/admins`)] }),
    user({ name: 'safe' }),
    user({ name: 'member', groups: ['makers'] }),
  ]
  const groups = [
    { ...holder({ name: 'admins', says: [ADMIN] }, 'group'), kind: 'group' as const },
    {
      ...holder({ name: 'makers', says: [allow('iam:UpdateLoginProfile', `arn:aws:iam::${HERE}:user/safe`)] }, 'group'),
      kind: 'group' as const,
    },
  ]
  assert.deepEqual(await rights({ users, groups }), [
    `user-joiner iam:AddUserToGroup (admins) + * ${HERE}`,
    'user-joiner iam:AddUserToGroup group-admins',
    'user-maker iam:CreateAccessKey user-joiner',
    'user-maker iam:CreateAccessKey user-member',
    'user-member iam:UpdateLoginProfile user-safe',
  ])
})

test('whom a role believes is told with what they have to show, and what lets in more than was meant', () => {
  const provider = `arn:aws:iam::${HERE}:oidc-provider/token.actions.githubusercontent.com`
  const sub = (operator: string, value: string) => ({
    [operator]: { 'token.actions.githubusercontent.com:sub': value },
  })
  const believed = (Principal: unknown, Condition = {}) => {
    const trust = policy({ Effect: 'Allow', Principal, Action: 'sts:AssumeRole*', Condition })
    const [told] = tellTrusts(role({ name: 'it', trust }), HERE)
    assert.ok(told?.kind === 'trust' && 'issuer' in told.from)
    return [told.id.kind, told.from.issuer, told.wildcard, told.from.claims]
  }
  const github = 'https://token.actions.githubusercontent.com'
  assert.deepEqual(believed({ Federated: provider }), ['role-trust', github, false, {}])
  assert.deepEqual(believed({ Federated: provider }, sub('StringLike', 'repo:acme/*')), [
    'role-trust',
    github,
    true,
    { sub: ['repo:acme/*'] },
  ])
  assert.deepEqual(believed({ Federated: provider }, sub('StringEquals', 'repo:acme/shop:ref:refs/heads/main')), [
    'role-trust',
    github,
    false,
    { sub: ['repo:acme/shop:ref:refs/heads/main'] },
  ])
  assert.deepEqual(believed({ Federated: provider }, sub('StringEqualsIfExists', 'repo:acme/shop')), [
    'role-trust',
    github,
    false,
    {},
  ])
  assert.deepEqual(believed('*'), ['foreign-trust', '*', true, {}])
  assert.deepEqual(believed({ AWS: '999999999999' }), ['foreign-trust', '999999999999', true, {}])
  assert.deepEqual(believed({ AWS: `arn:aws:iam::${HERE}:root` }), [
    'account-trust',
    `arn:aws:iam::${HERE}:root`,
    false,
    {},
  ])
  const secret = believed(
    { AWS: 'arn:aws:iam::999999999999:role/their' },
    { StringEquals: { 'sts:ExternalId': 'between-us' } },
  )
  assert.deepEqual(secret, [
    'foreign-trust',
    'arn:aws:iam::999999999999:role/their',
    false,
    { 'sts:ExternalId': ['(asked for)'] },
  ])
  assert.deepEqual(
    tellTrusts(role({ name: 'it', trust: policy({ Effect: 'Deny', Principal: '*', Action: 'sts:AssumeRole' }) }), HERE),
    [],
  )
})

test('a right by a star is told as one where nothing bounds it', () => {
  const stars = (says: object) => {
    const { told } = tellPolicies(account({ users: [user({ name: 'it', says: [says] })] }))
    return told.flatMap((one) => (one.kind === 'grant' ? [[one.privilege, one.level, one.facts?.['isWildcard']]] : []))
  }
  assert.deepEqual(stars(ADMIN), [['*', 'admin', true]])
  assert.deepEqual(stars(allow('*:*')), [['*', 'admin', true]])
  assert.deepEqual(stars(allow('*', '*', mfa)), [['*', 'admin', false]])
  assert.deepEqual(stars(allow('s3:*', 'arn:aws:s3:::shop/*')), [['s3:*', 'write', false]])
  assert.deepEqual(stars(allow('s3:Get*')), [['s3:get*', 'read', false]])
  assert.deepEqual(stars(allow('iam:*')), [['iam:*', 'grant', true]])
  assert.deepEqual(stars({ Effect: 'Allow', NotAction: 'iam:*', Resource: '*' }), [['* but iam:*', 'write', true]])
})
