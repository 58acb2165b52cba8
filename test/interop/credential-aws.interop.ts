import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listGrants, readGrant, revokeGrant } from '../../src/access/contract.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { issuedWorld, type IssuedWorld } from '../support/issued-world.ts'
import { PROGRAM, reeve, type Place } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'
import { motoServer, type Moto } from './peers/moto.ts'

// boto3 with the hook as its credential_process, against moto, which checks signatures' keys and the policies of roles. Moto takes a denial with a
// condition for one of the whole role, so that only one session is denied is AWS's word and not proven here.
const cleaning = cleaningOfFile()
let here: IssuedWorld
let moto: Moto
let bob: Place

before(async () => {
  moto = await motoServer(cleaning)
  const made = await moto.boto([
    'for role in ["look", "last"]:',
    '  iam.create_role(RoleName=role, AssumeRolePolicyDocument=policy(dict(Effect="Allow", Principal={"AWS": "*"}, Action="sts:AssumeRole")))',
    '  iam.put_role_policy(RoleName=role, PolicyName="look", PolicyDocument=policy(allow("ec2:Describe*")))',
    'iam.create_user(UserName="reeve")',
    'may = ["sts:AssumeRole", "iam:ListRolePolicies", "iam:PutRolePolicy", "iam:DeleteRolePolicy"]',
    'iam.put_user_policy(UserName="reeve", PolicyName="all", PolicyDocument=policy(allow(may)))',
    'key = iam.create_access_key(UserName="reeve")["AccessKey"]',
    'print(json.dumps([key["AccessKeyId"], key["SecretAccessKey"]]))',
  ])
  const [user, password] = JSON.parse(made)
  here = await issuedWorld(cleaning)
  const accounts = ['look', 'last'].map((name) => ({ name, mode: 'lease' as const }))
  const settings = { accountId: '123456789012', endpoint: `${moto.url}/`, plaintext: true }
  for (const [name, endsByPolicy] of [
    ['cloud-1', true],
    ['cloud-2', false],
  ] as const) {
    await here.register({
      name,
      protocol: 'aws',
      settings: { ...settings, endsByPolicy },
      provisioner: { user, password },
      accounts,
      actions: ['aws.read'],
    })
  }
  await here.register({
    name: 'cloud-3',
    protocol: 'aws',
    settings: { ...settings, proof: 'web-identity' },
    accounts,
    actions: ['aws.read'],
  })
  bob = placeOf(here.folder, 'bob', here.bob)
})
after(() => cleaning.now())

/** Runs a few lines of Python with boto3 in them, where the hook finds Reeve. */
const boto = (lines: readonly string[], env: NodeJS.ProcessEnv) => moto.run(lines, { ...bob.env, ...env })

/** As an AWS configuration names the hook. */
function configured(target: string, role: string): NodeJS.ProcessEnv {
  const path = join(here.folder, `aws-${target}`)
  const words = [process.execPath, PROGRAM, 'credential', 'aws', '--on', `${target}:${role}`, '--for', `use-${target}`]
  writeFileSync(path, `[default]\nregion = us-east-1\ncredential_process = ${words.join(' ')}\n`)
  return { AWS_CONFIG_FILE: path, AWS_SHARED_CREDENTIALS_FILE: join(here.folder, 'none') }
}

const REGIONS = ['print(len(boto3.client("ec2", endpoint_url=url).describe_regions()["Regions"]))']
const WHO = ['print(boto3.client("sts", endpoint_url=url).get_caller_identity()["Arn"])']

const liveGrant = async (target: string) => {
  const { items } = await here.bob.ask(listGrants, { query: { view: 'mine', isLive: 'true', target } })
  return items[0]?.id ?? ''
}

test('boto3 works by credential_process, in a session that names the grant', async () => {
  const env = configured('cloud-1', 'look')

  const regions = await boto(REGIONS, env)
  const who = await boto(WHO, env)
  const users = await boto(['boto3.client("iam", endpoint_url=url).list_users()'], env)

  assert.ok(Number(regions.stdout) > 5, regions.stderr)
  assert.match(who.stdout, new RegExp(`assumed-role/look/${await liveGrant('cloud-1')}\\.`), who.stderr)
  assert.match(users.stderr, /AccessDenied/)
})

test('attack: a stolen session is denied once the grant is revoked, where the role may be denied by policy', async () => {
  const printed = await reeve(bob, ['credential', 'aws', '--on', 'cloud-1:last', '--for', 'use-cloud-1'])
  const { AccessKeyId, SecretAccessKey, SessionToken } = JSON.parse(printed.stdout)
  const stolen = {
    AWS_ACCESS_KEY_ID: AccessKeyId,
    AWS_SECRET_ACCESS_KEY: SecretAccessKey,
    AWS_SESSION_TOKEN: SessionToken,
  }
  assert.equal((await boto(REGIONS, stolen)).code, 0)
  const { items } = await here.bob.ask(listGrants, { query: { view: 'mine', isLive: 'true', target: 'cloud-1' } })
  const grant = items.find(({ account }) => account === 'last')?.id ?? ''

  await here.ada.ask(revokeGrant, { params: { grant }, input: { reason: 'it was stolen' } })

  const lease = await here.lease(grant, 'dead')
  const tried = await boto(REGIONS, stolen)
  assert.equal(lease.revocability, 'immediate')
  assert.match(String(Object(lease.evidence).refused), /AccessDenied|UnauthorizedOperation/)
  assert.match(tried.stderr, /AccessDenied|UnauthorizedOperation|not authorized/)
  assert.ok(!printed.stderr.includes(SessionToken))
})

test('a session that nothing can end says until when it lives, and is looked at again then', async () => {
  const printed = await reeve(bob, [
    'credential',
    'aws',
    '--on',
    'cloud-2:look',
    '--for',
    'use-cloud-2',
    '--ttl',
    '30m',
  ])
  assert.equal(printed.code, 0, printed.stderr)
  const grant = await liveGrant('cloud-2')

  await here.ada.ask(revokeGrant, { params: { grant }, input: { reason: 'it is not needed' } })

  const lease = await here.lease(grant, 'ending')
  const { residualBefore } = await here.bob.ask(readGrant, { params: { grant } })
  const listed = await reeve(bob, ['lease', 'list', '--grant-id', grant, '-o', 'wide'])
  assert.equal(lease.revocability, 'expires-only')
  assert.ok(lease.residualBefore && lease.residualBefore > new Date())
  assert.equal(residualBefore?.getTime(), lease.residualBefore.getTime())
  assert.match(listed.stdout, /expires-only/)
  assert.match(listed.stdout, /RESIDUAL/i)
})

test('a role is assumed by a token of this installation, without a key of ours', async () => {
  // Moto cannot check policies of a call that nobody signed.
  await moto.guard(false)
  const who = await boto(WHO, configured('cloud-3', 'look'))

  assert.match(who.stdout, new RegExp(`assumed-role/look/${await liveGrant('cloud-3')}\\.`), who.stderr)
})

test('attack: a role that the grant does not name, and a name that is none, get no session', async () => {
  const other = await reeve(bob, ['credential', 'aws', '--on', 'cloud-1:admin', '--for', 'use-cloud-1'])

  assert.notEqual(other.code, 0)
  assert.equal(other.stdout, '')
})
