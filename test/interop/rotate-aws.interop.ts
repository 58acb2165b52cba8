import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { awsKeyRotator } from '../../src/credentials/aws/rotate.ts'
import { abortRotation } from '../../src/credentials/rotation/abort.ts'
import type { RotationNeeds } from '../../src/credentials/rotation/needs.ts'
import { keptLogin } from '../../src/credentials/rotation/login.ts'
import { readRotation } from '../../src/credentials/rotation/reads.ts'
import { startRotation } from '../../src/credentials/rotation/start.ts'
import { settleRotations } from '../../src/credentials/rotation/worker.ts'
import { transact } from '../../src/kernel/db.ts'
import { openEgress } from '../../src/kernel/egress.ts'
import { onReach } from '../../src/kernel/fault.ts'
import { newId } from '../../src/kernel/random.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { LeaseFailure } from '../../src/credentials/writer.ts'
import { rotationScheduled } from '../../src/credentials/rotation/events.ts'
import { SYSTEM } from '../../src/ledger/ledger.ts'
import { freshDatabase, type TestDatabase } from '../support/database.ts'
import { closers, credentialNeeds, movableClock } from '../support/lease-world.ts'
import { permitFor } from '../support/permit.ts'
import { motoServer, type Moto } from './peers/moto.ts'

// Access keys of an IAM user against moto, which knows two per user and refuses keys that it does not have. It takes inactive keys all the same, which AWS
// does not, so that much is added to it here: that an inactive key is refused is AWS's word and not proven by this.
const never = new AbortController().signal
const closing = closers()
let home: TestDatabase
let moto: Moto

const MAY = [
  'iam:ListAccessKeys',
  'iam:CreateAccessKey',
  'iam:UpdateAccessKey',
  'iam:DeleteAccessKey',
  'iam:GetAccessKeyLastUsed',
]
const INACTIVE_IS_REFUSED = [
  'import moto.iam.access_control as control',
  'taken = control.IAMUserAccessKey.__init__',
  'def active(self, account_id, partition, access_key_id, headers):',
  '  taken(self, account_id, partition, access_key_id, headers)',
  '  for user in self.backend.list_users("/", None, None):',
  '    for key in user.access_keys:',
  '      if key.access_key_id == access_key_id and key.status == "Inactive":',
  '        raise control.CreateAccessKeyFailure(reason="InvalidId")',
  'control.IAMUserAccessKey.__init__ = active',
]
const Keys = z.array(z.object({ id: z.string(), status: z.string() }))

before(async () => {
  moto = await motoServer(closing, { before: INACTIVE_IS_REFUSED })
  home = await freshDatabase(closing)
})
after(() => closing.close())

/** As an administrator of the account; `may` is what a provisioner needs. */
const boto = (lines: readonly string[]) => moto.boto([`may = policy(allow(${JSON.stringify(MAY)}))`, ...lines])

async function keysOf(user: string) {
  const found = await boto([
    `print(json.dumps([{"id": k["AccessKeyId"], "status": k["Status"]} for k in iam.list_access_keys(UserName="${user}")["AccessKeyMetadata"]]))`,
  ])
  return Keys.parse(JSON.parse(found))
}

let users = 0

/** An AWS target whose provisioner is the key of an IAM user of its own. */
async function cloud() {
  const clock = movableClock()
  const base = credentialNeeds(clock)
  const egress = openEgress({ allow: ['http://127.0.0.0/8'] })
  const needs: RotationNeeds = { ...base, rotators: [awsKeyRotator({ egress, clock })] }
  const user = `reeve-${(users += 1)}`
  const made = await boto([
    `iam.create_user(UserName="${user}")`,
    `iam.put_user_policy(UserName="${user}", PolicyName="own", PolicyDocument=may)`,
    `key = iam.create_access_key(UserName="${user}")["AccessKey"]`,
    'print(json.dumps([key["AccessKeyId"], key["SecretAccessKey"]]))',
  ])
  const [key = '', secret = ''] = z.array(z.string()).parse(JSON.parse(made))
  const [targetId, personId] = [newId(clock, base.random), newId(clock, base.random)]
  await transact(home.db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: rotationScheduled,
      actor: SYSTEM,
      subjectId: personId,
      resource: { type: 'Target', id: targetId },
      outcome: 'done',
      facts: { targetId, accountId: null, everyDays: null, reason: 'arranged' },
    })
    await tx
      .insertInto('identity')
      .values({
        id: personId,
        kind: 'human',
        name: `p-${personId}`,
        profile: 'person',
        environment: 'production',
        tier: 2,
        ownerState: 'none',
        state: 'active',
        createdAt: clock.now(),
        cause,
      })
      .execute()
    await tx
      .insertInto('target')
      .values({
        id: targetId,
        name: `cloud-${targetId}`,
        protocol: 'aws',
        environment: 'production',
        sensitivity: 1,
        ownerTeam: 'payments',
        settings: JSON.stringify({ accountId: '123456789012', endpoint: `${moto.url}/`, plaintext: true }),
        sealedProvisioner: needs.seal.seal(
          new Secret(JSON.stringify({ user: key, password: secret })),
          `target.sealed_provisioner:${targetId}`,
        ),
        createdAt: clock.now(),
        cause,
      })
      .execute()
  })
  const by = { type: 'Person', id: personId }
  return {
    clock,
    needs,
    user,
    key,
    secret,
    targetId,
    start: () =>
      transact(home.db, (tx) =>
        startRotation(tx, needs, permitFor('rotation.start-provisioner', by, { type: 'Target', id: targetId }), {
          reason: 'it is old',
          endSessions: false,
        }),
      ),
    abort: (id: string) =>
      transact(home.db, (tx) =>
        abortRotation(tx, needs, permitFor('rotation.abort', by, { type: 'Rotation', id }), { reason: 'no' }),
      ),
    settle: () => settleRotations(home.db, needs, never),
    kept: () => keptLogin(home.db, needs, { targetId, accountId: null }),
  }
}

test('the access key of a target is another one, by the second slot, and the old one is proven dead', async () => {
  const { start, settle, kept, key, user } = await cloud()
  const { id } = await start()

  await settle()

  const rotation = await readRotation(home.db, id)
  assert.deepEqual([rotation.state, rotation.strategy, rotation.lastError], ['dead', 'dual-slot', null])
  const now = await kept()
  assert.ok(now && now.user !== key)
  assert.deepEqual(await keysOf(user), [{ id: now.user, status: 'Active' }])
  const again = await start()
  await settle()
  assert.equal((await readRotation(home.db, again.id)).state, 'dead')
})

test('a key that AWS made and a dying process did not seal is taken away, and another one is made', async () => {
  const { clock, start, settle, kept, user } = await cloud()
  const { id } = await start()
  let made = 0
  {
    using _hook = onReach(async (label) => {
      if (label !== 'rotation.slot-made') return
      made += 1
      throw new LeaseFailure('the process dies here')
    })
    await settle()
  }
  assert.equal(made, 1)
  assert.equal((await keysOf(user)).length, 2)
  clock.ahead(90)

  await settle()

  assert.equal((await readRotation(home.db, id)).state, 'dead')
  assert.deepEqual(await keysOf(user), [{ id: (await kept())?.user, status: 'Active' }])
})

test('attack: the second key is of somebody else: it is not taken away, and nothing is rotated', async () => {
  const { clock, start, settle, user, key, kept } = await cloud()
  await boto([`iam.create_access_key(UserName="${user}")`])
  clock.ahead(3_600)
  const { id } = await start()

  await settle()

  const open = await readRotation(home.db, id)
  assert.equal(open.state, 'planned')
  assert.match(open.lastError ?? '', /the other one is not of Reeve/)
  assert.equal((await keysOf(user)).length, 2)
  assert.equal((await kept())?.user, key)
})

test('backing out keeps the old key and takes the new one away', async () => {
  const { clock, start, settle, abort, user, key, kept } = await cloud()
  const { id } = await start()
  {
    using _hook = onReach(async (label) => {
      if (label === 'rotation.distributed') throw new LeaseFailure('it stops here')
    })
    await settle()
  }
  assert.notEqual((await kept())?.user, key)

  await abort(id)
  clock.ahead(90)
  await settle()

  assert.equal((await readRotation(home.db, id)).state, 'aborted')
  assert.equal((await kept())?.user, key)
  assert.deepEqual(await keysOf(user), [{ id: key, status: 'Active' }])
})
