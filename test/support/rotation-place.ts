import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { keycloakSecretRotator } from '../../src/credentials/keycloak/rotate.ts'
import { ldapLoginRotator } from '../../src/credentials/ldap/rotate.ts'
import { mysqlLoginRotator } from '../../src/credentials/mysql/rotate.ts'
import { abortRotation } from '../../src/credentials/rotation/abort.ts'
import { configureRotation } from '../../src/credentials/rotation/configure.ts'
import { declareConsumer, withdrawConsumer } from '../../src/credentials/rotation/consumer-records.ts'
import { rotationScheduled } from '../../src/credentials/rotation/events.ts'
import { keptLogin } from '../../src/credentials/rotation/login.ts'
import type { RotationNeeds } from '../../src/credentials/rotation/needs.ts'
import { readRotation } from '../../src/credentials/rotation/reads.ts'
import type { LoginRotator } from '../../src/credentials/rotation/rotator.ts'
import type { ConfigureRotation } from '../../src/credentials/rotation/schemas.ts'
import { startRotation } from '../../src/credentials/rotation/start.ts'
import { settleRotations } from '../../src/credentials/rotation/worker.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { transact, type Db } from '../../src/kernel/db.ts'
import { openEgress } from '../../src/kernel/egress.ts'
import { newId } from '../../src/kernel/random.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { SYSTEM } from '../../src/ledger/ledger.ts'
import type { TestDatabase } from './database.ts'
import { credentialNeeds, movableClock } from './lease-world.ts'
import { permitFor } from './permit.ts'

/** What rotates logins of targets other than PostgreSQL, known to a test and to the processes that it kills. */
const egress = openEgress({ allow: ['http://127.0.0.0/8'] })
const ROTATORS: Readonly<Record<string, LoginRotator>> = {
  ldap: ldapLoginRotator,
  mysql: mysqlLoginRotator,
  keycloak: keycloakSecretRotator({ egress }),
}

export function rotationNeedsAt(protocol: string, clock: Clock): RotationNeeds {
  const rotator = ROTATORS[protocol]
  if (!rotator) throw new Error(`nothing rotates logins of ${protocol}`)
  return { ...credentialNeeds(clock), rotators: [rotator], egress }
}

export type Standing = {
  readonly protocol: string
  readonly settings: unknown
  readonly provisioner: { readonly user: string; readonly password: string }
  readonly account: { readonly name: string; readonly password: string }
}

/** A static account at a target of any protocol, rotated as a person of the tests says. */
export async function standing({ db, server }: TestDatabase, given: Standing) {
  const clock = movableClock()
  const needs = rotationNeedsAt(given.protocol, clock)
  const [personId, targetId, accountId] = [0, 1, 2].map(() => newId(clock, needs.random)) as [string, string, string]
  await transact(db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: rotationScheduled,
      actor: SYSTEM,
      subjectId: personId,
      resource: { type: 'Target', id: targetId },
      outcome: 'done',
      facts: { targetId, accountId: null, everyDays: null, reason: 'arranged' },
    })
    await arrange(tx, needs, { personId, targetId, accountId, cause, ...given })
  })
  const by = { type: 'Person', id: personId }
  const dieAt = async (point: string, aheadSeconds = 0): Promise<string | null> => {
    const database = { ...server, password: server.password.reveal() }
    const script = join(import.meta.dirname, 'rotation-crash.ts')
    const order = { database, point, ahead: aheadSeconds, protocol: given.protocol }
    const child = spawn(process.execPath, [script, JSON.stringify(order)], { stdio: 'inherit' })
    const [, killedBy] = await once(child, 'exit')
    return killedBy
  }
  return {
    clock,
    needs,
    targetId,
    accountId,
    name: given.account.name,
    dieAt,
    start: async (options: { endSessions?: boolean; provisioner?: boolean } = {}) => {
      const permit = options.provisioner
        ? permitFor('rotation.start-provisioner', by, { type: 'Target', id: targetId })
        : permitFor('rotation.start', by, { type: 'Account', id: accountId })
      const input = { reason: 'a test says so', endSessions: options.endSessions ?? false }
      return (await transact(db, (tx) => startRotation(tx, needs, permit, input))).id
    },
    configure: (way: Omit<ConfigureRotation, 'reason' | 'soakSeconds'>) =>
      transact(db, (tx) =>
        configureRotation(tx, needs, permitFor('rotation.configure', by, { type: 'Account', id: accountId }), {
          soakSeconds: 0,
          ...way,
          reason: 'a test says so',
        }),
      ),
    abort: (id: string) =>
      transact(db, (tx) =>
        abortRotation(tx, needs, permitFor('rotation.abort', by, { type: 'Rotation', id }), { reason: 'no' }),
      ),
    declare: (name: string, address: string) =>
      transact(db, (tx) =>
        declareConsumer(tx, needs, permitFor('consumer.declare', by, { type: 'Account', id: accountId }), {
          name,
          ownerTeam: 'payments',
          address,
          reason: 'it holds a copy',
        }),
      ),
    /** A person's word that it took the new one. */
    withdraw: async (name: string) => {
      const row = db.selectFrom('credentialConsumer').select('id').where('accountId', '=', accountId)
      const { id } = await row.where('name', '=', name).where('withdrawnAt', 'is', null).executeTakeFirstOrThrow()
      const permit = permitFor('consumer.withdraw', by, { type: 'Account', id: accountId })
      await transact(db, (tx) => withdrawConsumer(tx, needs, permit, id, { reason: 'it has the new one' }))
    },
    settle: () => settleRotations(db, needs, new AbortController().signal),
    read: (id: string) => readRotation(db, id),
    /** What is kept now: of the account, or the provisioner. */
    kept: async (of: 'account' | 'provisioner' = 'account') => {
      const kept = await keptLogin(db, needs, { targetId, accountId: of === 'account' ? accountId : null })
      if (!kept) throw new Error('nothing is kept')
      return { user: kept.user, password: kept.secret.reveal() }
    },
  }
}

type Arranging = Standing & {
  readonly personId: string
  readonly targetId: string
  readonly accountId: string
  readonly cause: number
}

async function arrange(tx: Db, { seal, clock }: RotationNeeds, given: Arranging): Promise<void> {
  const { personId, targetId, accountId, cause, protocol, provisioner, account } = given
  const now = clock.now()
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
      createdAt: now,
      cause,
    })
    .execute()
  await tx
    .insertInto('target')
    .values({
      id: targetId,
      name: `t-${targetId}`,
      protocol,
      environment: 'production',
      sensitivity: 1,
      ownerTeam: 'payments',
      settings: JSON.stringify(given.settings),
      sealedProvisioner: seal.seal(new Secret(JSON.stringify(provisioner)), `target.sealed_provisioner:${targetId}`),
      createdAt: now,
      cause,
    })
    .execute()
  await tx
    .insertInto('account')
    .values({
      id: accountId,
      targetId,
      name: account.name,
      mode: 'static',
      tier: 1,
      databases: [],
      sealedCredential: seal.seal(new Secret(account.password), `account.sealed_credential:${accountId}`),
      cause,
    })
    .execute()
}

/** What nothing may change: each arrow but those of a hook, of backing out, and of secrets that a target makes. */
export const ORDINARY_POINTS = (points: readonly string[]) =>
  points.filter(
    (point) => !['rotation.slot-made', 'rotation.told', 'rotation.undone-upstream', 'rotation.aborted'].includes(point),
  )
