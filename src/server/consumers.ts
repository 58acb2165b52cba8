import type { NotSeen } from '../credentials/contract.ts'
import { standingConsumers } from '../credentials/credentials.ts'
import { consumersOf, coverageOf, type InventoryNeeds } from '../inventory/inventory.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import type { LifecycleNeeds } from '../lifecycle/lifecycle.ts'

/** Who is on the record of rotation as a user of a login, for the one list of who breaks: places that sources tell of are in it already. */
export const holdersOf: NonNullable<InventoryNeeds['holdersOf']> = async (db, accountId) => {
  const standing = await standingConsumers(db, accountId)
  return standing.flatMap(({ origin, name, ownerTeam, applicationName, address, seenAt }) =>
    origin === 'reference'
      ? []
      : {
          by: origin,
          referenceId: null,
          id: null,
          name,
          source: null,
          how: ownerTeam === null ? 'session' : `declared, of ${ownerTeam}`,
          location: [applicationName, address].filter(Boolean).join(' '),
          evidence: origin === 'declared' ? 'word' : 'runtime',
          lastAt: seenAt,
          count: 0,
          isPresent: true,
          isCopy: false,
        },
  )
}

/** The same map, as a case looks at it: who uses an account, and whether that can be said. */
export function usersOf(clock: Clock): NonNullable<LifecycleNeeds['usersOf']> {
  return async (db, accountId) => {
    const { consumers, more, use } = await consumersOf(db, { clock, holdersOf }, accountId)
    const { is, since, until, lastAt, why } = use
    return { is, since, until, lastAt, why: [...why], consumers: consumers.map(({ by, name }) => ({ by, name })), more }
  }
}

/** A few are enough to know that somebody may not be known; `inventory coverage` has them all. */
const UNSEEN_TOLD = 20

/** What no source showed, in sentences: who uses a login may be there. */
export function notSeenBy(clock: Clock): (db: Db) => Promise<NotSeen> {
  return async (db) => {
    const { unseen, more } = await coverageOf(db, clock)
    const told = unseen.slice(0, UNSEEN_TOLD).map(({ source, scope, status, what, why, permission }) => {
      const shows = permission === undefined ? '' : `; it takes ${permission}`
      return `${source}${scope === null ? '' : ` ${scope}`} (${status}): ${what}: ${why}${shows}`
    })
    return { unseen: told, moreUnseen: unseen.length - told.length + more }
  }
}
