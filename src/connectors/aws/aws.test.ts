import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { Denied, SlowDown, Unreadable } from '../connector.ts'
import { ACCOUNT, reading, stub } from './iam.fixture.ts'
import { readReportText } from './report.ts'

const USERS =
  '<Users><member><UserName>ann</UserName><UserId>AIDA1</UserId><Arn>arn:aws:iam::123456789012:user/ann</Arn></member></Users>'

test('a list goes on over all its pages, and one that leads back is not followed for ever', async (t) => {
  const page = (marker: string | undefined) =>
    marker === 'b'
      ? `${USERS.replaceAll('ann', 'eve')}<IsTruncated>false</IsTruncated>`
      : `${USERS}<IsTruncated>true</IsTruncated><Marker>b</Marker>`
  const keys = (name: string) =>
    `<AccessKeyMetadata><member><AccessKeyId>AKIA${name}</AccessKeyId><Status>Active</Status></member></AccessKeyMetadata>`
  const whole = await stub(t, ({ Action, Marker, UserName }) =>
    Action === 'ListUsers' ? page(Marker) : Action === 'ListAccessKeys' ? keys(UserName ?? '') : undefined,
  )
  const circle = await stub(t, ({ Action }) => (Action === 'ListUsers' ? page(undefined) : undefined))
  const endless = await stub(t, ({ Action }, nth) =>
    Action === 'ListUsers'
      ? `${USERS}<IsTruncated>true</IsTruncated>${nth < 3 ? `<Marker>${nth}</Marker>` : ''}`
      : undefined,
  )
  const { told, report } = await reading({ endpoint: whole.url }, 'access-keys')

  assert.deepEqual(
    told.flatMap((one) => (one.kind === 'credential' ? [one.id.id] : [])),
    ['AKIAann', 'AKIAeve'],
  )
  assert.equal(report.status, 'complete')
  await assert.rejects(reading({ endpoint: circle.url }, 'access-keys'), Unreadable)
  await assert.rejects(reading({ endpoint: endless.url }, 'access-keys'), Unreadable)
})

test('what IAM refuses is said by its own code: too fast, not allowed, not signed, gone since', async (t) => {
  const refusing = async (status: number, code: string, of = 'ListAccessKeys') =>
    reading(
      {
        endpoint: (
          await stub(t, ({ Action }) => (Action === 'ListUsers' ? USERS : Action === of ? { status, code } : undefined))
        ).url,
      },
      'access-keys',
    )
  await assert.rejects(refusing(400, 'Throttling'), SlowDown)
  await assert.rejects(refusing(400, 'RequestLimitExceeded'), SlowDown)
  const denied = await refusing(403, 'AccessDenied')
  assert.deepEqual(
    [denied.report.status, denied.report.missing.map(({ permission }) => permission)],
    ['denied', ['iam:ListAccessKeys']],
  )
  await assert.rejects(
    refusing(403, 'InvalidClientTokenId'),
    (error) => error instanceof Denied && error.missing.permission === 'an active access key',
  )
  await assert.rejects(refusing(403, 'SignatureDoesNotMatch'), Unreadable)
  await assert.rejects(refusing(500, 'ServiceFailure'), /answered ListAccessKeys with 500/)
  const gone = await refusing(404, 'NoSuchEntity')
  assert.deepEqual([gone.told, gone.report.status], [[], 'complete'])
  const half = await stub(t, ({ Action, UserName }) =>
    Action === 'ListUsers'
      ? USERS.replace('</Users>', USERS.replaceAll('ann', 'eve').slice('<Users>'.length))
      : UserName === 'eve'
        ? { status: 403, code: 'AccessDenied' }
        : '',
  )
  const { report } = await reading({ endpoint: half.url }, 'access-keys')
  assert.deepEqual(
    [report.status, report.missing.map(({ permission }) => permission)],
    ['partial', ['iam:ListAccessKeys']],
  )
})

test('attack: an answer that is no answer of IAM is not taken for an empty account', async (t) => {
  for (const body of [
    '',
    '<',
    '<html><body>proxy</body></html>',
    '{"Users":[]}',
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
  ]) {
    const server = createServer((_request, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end(body),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`
    await assert.rejects(reading({ endpoint: url }, 'users'), Unreadable, body)
  }
})

test('which action was used last is told once the job is done', async (t) => {
  // As the API reference shows the answers of GetServiceLastAccessedDetails with ACTION_LEVEL.
  const services = `<ServicesLastAccessed>
    <member><ServiceName>Amazon S3</ServiceName><ServiceNamespace>s3</ServiceNamespace><LastAuthenticated>2026-05-01T10:00:00Z</LastAuthenticated>
      <TotalAuthenticatedEntities>1</TotalAuthenticatedEntities><TrackedActionsLastAccessed>
        <member><ActionName>ListBucket</ActionName><LastAccessedEntity>arn:aws:iam::123456789012:role/it</LastAccessedEntity><LastAccessedTime>2026-05-01T09:00:00Z</LastAccessedTime><LastAccessedRegion>eu-west-1</LastAccessedRegion></member>
        <member><ActionName>PutObjectAcl</ActionName></member></TrackedActionsLastAccessed></member>
    <member><ServiceName>AWS IAM</ServiceName><ServiceNamespace>iam</ServiceNamespace><TotalAuthenticatedEntities>0</TotalAuthenticatedEntities></member>
  </ServicesLastAccessed>`
  const { url, asked } = await stub(t, ({ Action }, nth) => {
    if (Action === 'GenerateServiceLastAccessedDetails') return '<JobId>job-1</JobId>'
    if (Action !== 'GetServiceLastAccessedDetails') return undefined
    return nth === 1
      ? '<JobStatus>IN_PROGRESS</JobStatus><IsTruncated>false</IsTruncated>'
      : `<JobStatus>COMPLETED</JobStatus>${services}<IsTruncated>false</IsTruncated>`
  })
  const { told, report } = await reading({ endpoint: url }, 'last-access')

  assert.deepEqual(
    told.map((one) => (one.kind === 'usage' ? [one.subject.id, one.privilege, one.at.toISOString()] : [])),
    [
      ['AROA1', 's3:*', '2026-05-01T10:00:00.000Z'],
      ['AROA1', 's3:ListBucket', '2026-05-01T09:00:00.000Z'],
    ],
  )
  assert.equal(report.status, 'complete')
  assert.equal(
    asked.find(({ Action }) => Action === 'GenerateServiceLastAccessedDetails')?.['Granularity'],
    'ACTION_LEVEL',
  )
})

test('a row of the credential report belongs to its user, whatever commas the name has', () => {
  const head = 'user,arn,user_creation_time,password_enabled,mfa_active'
  const rows = readReportText(
    `${head}\n<root_account>,arn:aws:iam::1:root,2020-01-01T00:00:00+00:00,not_supported,false\na,b,arn:aws:iam::1:user/a,b,2020-01-01T00:00:00+00:00,true,true\n`,
  )
  assert.deepEqual(
    rows.map(({ user, mfa_active: mfa }) => [user, mfa]),
    [
      ['<root_account>', 'false'],
      ['a,b', 'true'],
    ],
  )
  for (const text of ['', 'a,b\n', `${head}\na,arn\n`, `${head}\na,b,arn,x,true,true\n`])
    assert.throws(() => readReportText(text), Unreadable, text)
})

test('the root of an account is told with what its report says: no second factor, keys of its own', async (t) => {
  const report = [
    'user,arn,password_enabled,password_last_used,password_last_changed,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_service',
    `<root_account>,arn:aws:iam::${ACCOUNT}:root,not_supported,2026-01-02T00:00:00+00:00,not_supported,false,true,2020-01-01T00:00:00+00:00,2026-01-03T00:00:00+00:00,s3`,
    `late,arn:aws:iam::${ACCOUNT}:user/late,true,N/A,N/A,false,false,N/A,N/A,N/A`,
  ].join('\n')
  const { url } = await stub(t, ({ Action }, nth) => {
    if (Action === 'GenerateCredentialReport') return `<State>${nth === 1 ? 'STARTED' : 'COMPLETE'}</State>`
    if (Action === 'GetCredentialReport') return `<Content>${Buffer.from(report).toString('base64')}</Content>`
    return Action === 'ListUsers' ? USERS : undefined
  })
  const { told, report: closed } = await reading({ endpoint: url }, 'logins')

  const credentials = told.flatMap((one) =>
    one.kind === 'credential' ? [[one.name, one.strength, one.strengthWhy]] : [],
  )
  assert.deepEqual(credentials, [
    ['root: password', { known: true, value: 'weak' }, ['the root of the account has no second factor']],
    [
      'root: access key 1',
      { known: true, value: 'weak' },
      ['it is a key of the root of the account, which no policy bounds'],
    ],
  ])
  assert.match(closed.missing[0]?.what ?? '', /passwords of 1 users/)
})

test('attack: a list that is left out, or holds something else, is not an empty one', async (t) => {
  const from = async (scope: string, answers: Readonly<Record<string, string>>) =>
    reading({ endpoint: (await stub(t, ({ Action = '' }) => answers[Action])).url }, scope)
  const user = (more: string) => `<Users><member><UserName>ann</UserName>${more}</member></Users>`
  const role = (more: string) =>
    `<RoleDetailList><member><RoleName>it</RoleName><RoleId>AROA1</RoleId><Arn>arn:aws:iam::123456789012:role/it</Arn>${more}</member></RoleDetailList>`
  const odd: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['access-keys', { ListUsers: '<Others/>' }],
    ['access-keys', { ListUsers: 'x' }],
    ['access-keys', { ListUsers: '<Users>x</Users>' }],
    ['access-keys', { ListUsers: '<Users><Other/></Users>' }],
    ['access-keys', { ListUsers: user('') }],
    ['access-keys', { ListUsers: user('<UserId><a>1</a></UserId>') }],
    ['access-keys', { ListUsers: `${USERS}<IsTruncated>perhaps</IsTruncated>` }],
    ['access-keys', { ListUsers: `${USERS}<Marker>b</Marker>` }],
    ['access-keys', { ListUsers: USERS, ListAccessKeys: '<Other/>' }],
    ['providers', { ListOpenIDConnectProviders: '<Other/>' }],
    ['providers', { ListSAMLProviders: '<SAMLProviderList><member/></SAMLProviderList>' }],
    ['logins', { GenerateCredentialReport: '<State>perhaps</State>' }],
    ['rights', { GetAccountAuthorizationDetails: role('<PermissionsBoundary/>') }],
    ['rights', { GetAccountAuthorizationDetails: role('<AttachedManagedPolicies>x</AttachedManagedPolicies>') }],
  ]
  for (const [scope, answers] of odd) await assert.rejects(from(scope, answers), Unreadable, JSON.stringify(answers))

  const key = (status: string) =>
    `<AccessKeyMetadata><member><AccessKeyId>AKIA1</AccessKeyId><Status>${status}</Status></member></AccessKeyMetadata>`
  const states = await Promise.all(
    ['Active', 'Inactive', 'Other'].map(async (status) => {
      const { told } = await from('access-keys', { ListUsers: USERS, ListAccessKeys: key(status) })
      return told.flatMap((one) => (one.kind === 'credential' ? [one.state] : []))
    }),
  )
  assert.deepEqual(states, [
    [{ known: true, value: 'active' }],
    [{ known: true, value: 'inactive' }],
    [{ known: false, why: 'failed' }],
  ])
})
