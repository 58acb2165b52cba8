import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { awsConnector } from '../../src/connectors/aws/connector.ts'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { HOSTILE } from '../../src/connectors/conformance/hostile.fixture.ts'
import { saysEachRight, type Right } from '../support/each-right.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { motoServer, type Moto } from './peers/moto.ts'

// moto with its checks of keys and policies on: the reader has exactly what the page says. It looks at the actions of policies and not at resources or
// conditions, lists without pages, and does not know when something was used last; those are proven over recorded answers, or not at all.
const ACCOUNT = '123456789012'
const READS = [
  'GetAccountSummary',
  'ListAccountAliases',
  'GetAccountPasswordPolicy',
  'GetAccountAuthorizationDetails',
  'ListUsers',
  'ListAccessKeys',
  'GetAccessKeyLastUsed',
  'GenerateCredentialReport',
  'GetCredentialReport',
  'ListMFADevices',
  'ListOpenIDConnectProviders',
  'GetOpenIDConnectProvider',
  'ListSAMLProviders',
  'GetSAMLProvider',
].map((action) => `iam:${action}`)
const WHOLE = ['account', 'users', 'groups', 'roles', 'policies', 'rights', 'access-keys', 'logins', 'providers']
const python = (value: unknown) => `json.loads(${JSON.stringify(JSON.stringify(value))})`

type World = Bed & { readonly moto: Moto; readonly credential: Record<string, string> }

async function bed(t: Pick<TestContext, 'after'>): Promise<World> {
  const moto = await motoServer(t)
  const made: unknown = JSON.parse(
    await moto.boto([
      'iam.create_user(UserName="reeve")',
      `iam.put_user_policy(UserName="reeve", PolicyName="reads", PolicyDocument=policy(allow(${python(READS)})))`,
      'reader = iam.create_access_key(UserName="reeve")["AccessKey"]',
      'for name in ["ann", "bob", "eve", "robot", "hands"]: iam.create_user(UserName=name)',
      'iam.tag_user(UserName="robot", Tags=[{"Key": "owner", "Value": "team-payments"}])',
      'iam.attach_user_policy(UserName="ann", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")',
      'iam.create_login_profile(UserName="ann", Password="correct-horse-4715-Battery!")',
      'mfa = iam.create_virtual_mfa_device(VirtualMFADeviceName="bob")["VirtualMFADevice"]',
      'iam.create_login_profile(UserName="bob", Password="correct-horse-4715-Battery!")',
      'iam.enable_mfa_device(UserName="bob", SerialNumber=mfa["SerialNumber"], AuthenticationCode1="123456", AuthenticationCode2="654321")',
      'iam.create_group(GroupName="operators")',
      'iam.add_user_to_group(GroupName="operators", UserName="bob")',
      `iam.put_group_policy(GroupName="operators", PolicyName="keys", PolicyDocument=policy(allow("iam:CreateAccessKey", "arn:aws:iam::${ACCOUNT}:user/ann")))`,
      'iam.put_user_policy(UserName="eve", PolicyName="pass", PolicyDocument=policy(allow(["iam:PassRole", "lambda:*"])))',
      'iam.put_user_policy(UserName="robot", PolicyName="mfa", PolicyDocument=policy(allow("sts:AssumeRole", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})))',
      'iam.put_user_policy(UserName="hands", PolicyName="grows", PolicyDocument=policy(allow("iam:PutUserPolicy"), deny("iam:PutUserPolicy", "arn:aws:iam::*:user/hands")))',
      'key = iam.create_access_key(UserName="robot")["AccessKey"]',
      'old = iam.create_access_key(UserName="robot")["AccessKey"]',
      'iam.update_access_key(UserName="robot", AccessKeyId=old["AccessKeyId"], Status="Inactive")',
      'iam.create_role(RoleName="runs", AssumeRolePolicyDocument=policy(trust({"Service": "lambda.amazonaws.com"})))',
      'iam.attach_role_policy(RoleName="runs", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")',
      `iam.create_role(RoleName="inside", AssumeRolePolicyDocument=policy(trust({"AWS": "arn:aws:iam::${ACCOUNT}:root"})))`,
      'iam.create_role(RoleName="partner", AssumeRolePolicyDocument=policy(trust({"AWS": "arn:aws:iam::999999999999:root"})))',
      'iam.create_role(RoleName="careful", AssumeRolePolicyDocument=policy(trust({"AWS": "arn:aws:iam::999999999999:root"}, Condition={"StringEquals": {"sts:ExternalId": "made-up-by-the-partner"}})))',
      'iam.create_role(RoleName="open", AssumeRolePolicyDocument=policy(trust({"AWS": "*"})))',
      `federated = {"Federated": "arn:aws:iam::${ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"}`,
      'iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=policy(trust(federated, Condition={"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/*"}, "StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}})))',
      'bound = iam.create_policy(PolicyName="bound", PolicyDocument=policy(allow("s3:*")))["Policy"]["Arn"]',
      'iam.create_role(RoleName="bounded", AssumeRolePolicyDocument=policy(trust({"Service": "ec2.amazonaws.com"})), PermissionsBoundary=bound)',
      'iam.attach_role_policy(RoleName="bounded", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")',
      'iam.create_open_id_connect_provider(Url="https://token.actions.githubusercontent.com", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40])',
      'iam.create_saml_provider(Name="corp", SAMLMetadataDocument="x" * 1100)',
      'iam.create_account_alias(AccountAlias="shop")',
      'print(json.dumps([reader["AccessKeyId"], reader["SecretAccessKey"], key["SecretAccessKey"], old["SecretAccessKey"], mfa["Base32StringSeed"]], default=lambda raw: raw.decode()))',
    ]),
  )
  const [accessKeyId = '', secretAccessKey = '', ...secrets] = Array.isArray(made) ? made.map(String) : []
  return {
    moto,
    connector: awsConnector,
    settings: { endpoint: `${moto.url}/`, withLastAccess: false },
    credential: { accessKeyId, secretAccessKey },
    whole: WHOLE,
    secrets: [secretAccessKey, ...secrets, 'correct-horse-4715', 'made-up-by-the-partner'],
    async lose() {
      await moto.boto(['iam.delete_role(RoleName="open")'])
      return 'roles'
    },
    async deny() {
      const left = READS.filter(
        (action) => action !== 'iam:ListOpenIDConnectProviders' && action !== 'iam:ListSAMLProviders',
      )
      await moto.boto([
        `iam.put_user_policy(UserName="reeve", PolicyName="reads", PolicyDocument=policy(allow(${python(left)})))`,
      ])
      return ['providers']
    },
    async plant() {
      // Names of IAM are plain; values of tags and paths are what somebody can write there.
      const names = ['@cmd', '=1+1', '+plus', '-minus,comma', 'x'.repeat(64)]
      await moto.boto(
        names.map(
          (name) =>
            `iam.create_role(RoleName=${JSON.stringify(`hostile${name}`.slice(0, 64))}, AssumeRolePolicyDocument=policy(), Tags=[{"Key": "note", "Value": "\\u202egnp"}])`,
        ),
      )
      return { table: 'observed_principal', count: names.length, like: 'hostile%' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over moto: ${story}`, async (t) => run(t, await bed(t)))
}
// What somebody has none of is left out.
const SAYS = [/^(?:(?:User|Group|Role)PolicyList|AttachedManagedPolicies|GroupList|InstanceProfileList|Tags)$/]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile over moto: ${story}`, async (t) => {
    const it = await bed(t)
    // It is made at the first call and done at the second: what is on a tape is one answer.
    await it.moto.boto(['iam.generate_credential_report()', 'iam.generate_credential_report()'])
    await run({ ...it, says: SAYS })
  })

test('an account is told: who is in it, with what credentials, who is believed, and what they can become', async (t) => {
  const { connector, settings, credential } = await bed(t)
  const i = await inventoryWorld(t)
  const { scopes } = await i.collect(await i.source(connector, settings, credential && { credential }))
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`observed_${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}\n${rows.filter((row) => row.startsWith(`observed_${table}`)).join('\n')}`,
    )
  const rights = rows.filter((row) => row.startsWith('observed_grant') && row.includes('effective-right'))
  const can = (privilege: string) => rights.filter((row) => row.includes(privilege)).length

  has('resource', 'aws-account', `shop (${ACCOUNT})`)
  has('resource', 'oidc-provider', 'https://token.actions.githubusercontent.com')
  has('principal', 'robot', 'team-payments')
  has('credential', 'robot: AKIA', 'api-key', 'inactive')
  has('credential', 'ann: password', 'weak', 'without a second factor')
  has('credential', 'bob: password', 'strong', 'virtual')
  has('trust', 'foreign-trust', '*')
  has('trust', 'foreign-trust', 'arn:aws:iam::999999999999:root', '(asked for)')
  has('trust', 'role-trust', 'https://token.actions.githubusercontent.com', 'repo:acme/*', 'aud')
  has('grant', 'POLICY', 'AdministratorAccess')
  has('grant', 'MEMBER')
  assert.equal(can('iam:CreateAccessKey'), 1)
  assert.equal(can('iam:PassRole + lambda:CreateFunction'), 1)
  assert.ok(rights.some((row) => row.includes('sts:AssumeRole') && row.includes('aws:MultiFactorAuthPresent')))
  // A denial of its own and a boundary hold.
  assert.equal(can('iam:PutUserPolicy'), 0)
  assert.equal(rights.filter((row) => row.includes('/*/account/')).length, 2, rights.join('\n'))
  const about = scopes.find(({ scope }) => scope === 'rights')
  assert.match(about?.missing[0]?.why ?? '', /aws:MultiFactorAuthPresent/)
})

test('a key that may nothing of IAM says so, and a key that is taken away in mid-reading denies the rest', async (t) => {
  const { moto, connector, settings, credential } = await bed(t)
  const i = await inventoryWorld(t)
  const none: unknown = JSON.parse(
    await moto.boto([
      'iam.create_user(UserName="nobody")',
      'key = iam.create_access_key(UserName="nobody")["AccessKey"]',
      'print(json.dumps({"accessKeyId": key["AccessKeyId"], "secretAccessKey": key["SecretAccessKey"]}))',
    ]),
  )
  const dark = await i.collect(await i.source(connector, settings, { credential: Object(none) }))
  const id = await i.source(connector, settings, credential && { credential })
  await i.collect(id)
  const before = await i.count('observed_credential', 'missed_at is null')
  i.swap({
    ...connector,
    async open(given, until) {
      const source = await connector.open(given, until)
      return {
        ...source,
        read(scope, since, signal) {
          return (async function* () {
            if (scope === 'access-keys')
              await moto.boto([`iam.delete_access_key(UserName="reeve", AccessKeyId="${credential?.['accessKeyId']}")`])
            return yield* source.read(scope, since, signal)
          })()
        },
      }
    },
  })
  const { scopes } = await i.collect(id)

  assert.match(dark.problem ?? '', /iam:GetAccountAuthorizationDetails/)
  for (const scope of ['access-keys', 'logins', 'providers']) {
    const told = scopes.find((each) => each.scope === scope)
    assert.equal(told?.status, 'denied', scope)
    assert.equal(told?.missing[0]?.permission, 'an active access key')
  }
  assert.equal(await i.count('observed_credential', 'missed_at is null'), before)
})

test('each action of the reader is named by what is not seen without it, and by nothing else', async (t) => {
  const { moto, connector, settings, credential } = await bed(t)
  const may = (actions: readonly string[]) =>
    moto.boto([
      `iam.put_user_policy(UserName="reeve", PolicyName="reads", PolicyDocument=policy(allow(${python(actions)})))`,
    ])
  const whole = (name: string, ...scopes: string[]): Right['says'] =>
    Object.fromEntries(scopes.map((scope) => [scope, ['denied', `iam:${name}`] as const]))
  const part = (name: string, scope: string): Right['says'] => ({ [scope]: ['partial', `iam:${name}`] })
  const says: Record<string, Right['says']> = {
    GetAccountSummary: part('GetAccountSummary', 'account'),
    ListAccountAliases: part('ListAccountAliases', 'account'),
    GetAccountPasswordPolicy: part('GetAccountPasswordPolicy', 'account'),
    GetAccountAuthorizationDetails: whole(
      'GetAccountAuthorizationDetails',
      'users',
      'groups',
      'roles',
      'policies',
      'rights',
    ),
    ListUsers: whole('ListUsers', 'access-keys', 'logins'),
    ListAccessKeys: whole('ListAccessKeys', 'access-keys'),
    GetAccessKeyLastUsed: part('GetAccessKeyLastUsed', 'access-keys'),
    GenerateCredentialReport: whole('GenerateCredentialReport', 'logins'),
    GetCredentialReport: whole('GetCredentialReport', 'logins'),
    ListMFADevices: part('ListMFADevices', 'logins'),
    ListOpenIDConnectProviders: part('ListOpenIDConnectProviders', 'providers'),
    GetOpenIDConnectProvider: part('GetOpenIDConnectProvider', 'providers'),
    ListSAMLProviders: part('ListSAMLProviders', 'providers'),
    GetSAMLProvider: part('GetSAMLProvider', 'providers'),
  }

  await saysEachRight(
    { connector, settings, credential },
    READS.map((name) => ({
      name,
      take: () => may(READS.filter((each) => each !== name)),
      give: () => may(READS),
      says: says[name.replace('iam:', '')] ?? {},
    })),
  )
})
