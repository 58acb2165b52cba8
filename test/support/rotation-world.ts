import type { CredentialNeeds } from '../../src/credentials/needs.ts'
import { postgresLoginRotator } from '../../src/credentials/postgres/rotate.ts'
import type { RotationNeeds } from '../../src/credentials/rotation/needs.ts'
import { startRotation } from '../../src/credentials/rotation/start.ts'
import { staticSecretOf } from '../../src/credentials/site.ts'
import { configureRotation } from '../../src/credentials/rotation/configure.ts'
import type { ConfigureRotation } from '../../src/credentials/rotation/schemas.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { transact, type Db } from '../../src/kernel/db.ts'
import { openEgress } from '../../src/kernel/egress.ts'
import type { Secret } from '../../src/kernel/secret.ts'
import type { Cluster } from './cluster.ts'
import { asSuperuser, credentialNeeds, PROVISIONER, world, type World } from './lease-world.ts'
import { permitFor } from './permit.ts'

/** What accounts of `world` are sealed with. */
export const STANDING = 'standing-password'

export function rotationNeeds(clock: Clock): CredentialNeeds & RotationNeeds {
  // Hooks of tests listen on the loopback.
  const egress = openEgress({ allow: ['http://127.0.0.0/8'] })
  return { ...credentialNeeds(clock), rotators: [postgresLoginRotator], egress }
}

/** A static account that stands at the target with the secret that is sealed with it. */
export type Kept = {
  readonly here: World
  readonly accountId: string
  readonly targetId: string
  readonly name: string
  start(more?: { endSessions?: boolean; account?: boolean }): Promise<string>
  secret(): Promise<Secret>
  /** Says how it is rotated. */
  configure(way: Omit<ConfigureRotation, 'reason' | 'soakSeconds'> & { soakSeconds?: number }): Promise<unknown>
}

let names = 0

export async function kept(
  db: Db,
  needs: RotationNeeds & CredentialNeeds,
  cluster: Cluster,
  options: { name?: string; password?: string; superuser?: boolean; group?: string } = {},
): Promise<Kept> {
  const name = options.name ?? `kept_${(names += 1)}`
  const admin = await asSuperuser(cluster)
  const kind = options.superuser === true ? 'superuser ' : ''
  await admin.query(`create role "${name}" login ${kind}password '${options.password ?? STANDING}'`)
  if (options.superuser !== true) await admin.query(`grant "${name}" to ${PROVISIONER} with admin true`)
  if (options.group !== undefined) {
    await admin.query(`create role "${options.group}"`)
    await admin.query(`grant "${options.group}" to ${PROVISIONER} with admin true`)
    await admin.query(`grant "${options.group}" to "${name}"`)
  }
  await admin.end()
  const here = await world(db, needs, cluster)
  const { accountId, targetId } = await here.grant({ account: name, mode: 'static' })
  const permit = (isAccount: boolean) =>
    isAccount
      ? permitFor('rotation.start', { type: 'Person', id: here.personId }, { type: 'Account', id: accountId })
      : permitFor('rotation.start-provisioner', { type: 'Person', id: here.personId }, { type: 'Target', id: targetId })
  return {
    here,
    accountId,
    targetId,
    name,
    async start({ endSessions = false, account = true } = {}) {
      const input = { reason: 'a test says so', endSessions }
      return (await transact(db, (tx) => startRotation(tx, needs, permit(account), input))).id
    },
    configure(way) {
      const subject = { type: 'Person', id: here.personId }
      const permit = permitFor('rotation.configure', subject, { type: 'Account', id: accountId })
      const input = { soakSeconds: 0, ...way, reason: 'a test says so' }
      return transact(db, (tx) => configureRotation(tx, needs, permit, input))
    },
    async secret() {
      const secret = await staticSecretOf(db, needs.seal, accountId)
      if (!secret) throw new Error('the account has no secret')
      return secret
    },
  }
}
