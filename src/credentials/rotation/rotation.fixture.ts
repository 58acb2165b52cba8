import assert from 'node:assert/strict'
import { connectAs, movableClock, type FixtureClock } from '../../../test/support/lease-world.ts'
import { kept, rotationNeeds, STANDING, type Kept } from '../../../test/support/rotation-world.ts'
import type { Tx } from '../../kernel/db.ts'
import { Secret } from '../../kernel/secret.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { leaseSite, never, type LeaseSite } from '../lease.fixture.ts'
import type { Rotation } from './contract.ts'
import { rotationDue } from './events.ts'
import type { RotationNeeds } from './needs.ts'
import { readRotation } from './reads.ts'
import { settleRotations } from './worker.ts'

/** A server whose logins are rotated, for a whole file of tests. */
export type RotationSite = Pick<LeaseSite, 'cluster' | 'home'> & {
  /** A static account of its own with a clock of its own. */
  readonly setting: () => Promise<{ clock: FixtureClock; needs: ReturnType<typeof rotationNeeds>; account: Kept }>
  readonly settle: (needs: RotationNeeds) => Promise<void>
  readonly read: (id: string) => Promise<Rotation>
  readonly enter: (user: string, secret: Secret) => Promise<void>
  /** The new secret opens the target, the old one does not, and nothing of either is kept with the rotation. */
  readonly assertRotated: (account: Kept, id: string) => Promise<void>
  readonly kindsOf: (id: string) => Promise<string[]>
}

/** Called once, outside of the tests. */
export function rotationSite(): RotationSite {
  const site = leaseSite('createrole')
  const enter = async (user: string, secret: Secret) => (await connectAs(site.cluster, user, secret)).end()
  return {
    get cluster() {
      return site.cluster
    },
    get home() {
      return site.home
    },
    async setting() {
      const clock = movableClock()
      const needs = rotationNeeds(clock)
      return { clock, needs, account: await kept(site.home.db, needs, site.cluster) }
    },
    settle: (needs) => settleRotations(site.home.db, needs, never),
    read: (id) => readRotation(site.home.db, id),
    enter,
    async assertRotated(account, id) {
      const secret = await account.secret()
      assert.notEqual(secret.reveal(), STANDING)
      await enter(account.name, secret)
      await assert.rejects(enter(account.name, new Secret(STANDING)), { code: '28P01' })
      const rows = site.home.db.selectFrom('rotation').selectAll().where('id', '=', id)
      const row = await rows.executeTakeFirstOrThrow()
      assert.deepEqual([row.state, row.sealedNext, row.sealedPrevious, row.nextTryAt], ['dead', null, null, null])
    },
    async kindsOf(id) {
      const entries = site.home.db.selectFrom('ledgerEntry').select('kind').where('resourceId', '=', id).orderBy('id')
      return (await entries.execute()).map((row) => row.kind)
    },
  }
}

/** What another part of the product would enter of a change it makes. */
export function entryAbout(resource: { type: string; id: string }) {
  const { ledger } = rotationNeeds(movableClock())
  const event = rotationDue
  return (tx: Tx) =>
    ledger.record(tx, { event, actor: SYSTEM, resource, outcome: 'done', facts: { principal: 'x', isStarted: false } })
}
