import { sql } from 'kysely'
import { END_CHANNEL } from '../access/access.ts'
import type { Config } from '../kernel/config.ts'
import type { Route } from '../kernel/http/route.ts'
import type { Log } from '../kernel/log.ts'
import { systemRandom } from '../kernel/random.ts'
import type { Stop } from '../kernel/stop.ts'
import type { Ledger } from '../ledger/ledger.ts'
import {
  openLivePolicies,
  policyVersionRoutes,
  readPolicyFiles,
  type LivePolicies,
  type PolicyVersionNeeds,
} from '../policy/policy.ts'
import type { Ground } from './ground.ts'
import type { Rules } from './policies.ts'

export type FollowedPolicies = {
  readonly routes: readonly Route[]
  /** Follows the version that is active in the database; undefined where a folder of files decides. */
  readonly live: LivePolicies | undefined
}

export type FollowParts = {
  readonly config: Config
  readonly ground: Ground
  readonly ledger: Ledger
  readonly log: Log
  readonly stop: Stop
}

/** From here on the version of the policies that the database says decides does so, unless a folder was named. */
export async function followPolicies(
  parts: FollowParts,
  { engine, openEngine, set, teams }: Rules,
): Promise<FollowedPolicies> {
  const { config, ground, ledger, log, stop } = parts
  const { db, clock } = ground
  const needs: PolicyVersionNeeds = {
    db,
    clock,
    random: systemRandom,
    ledger,
    teams,
    log,
    engine,
    schema: set.schema,
    open: openEngine,
    announce: async (tx, hint) => {
      await sql`select pg_notify(${END_CHANNEL}, ${hint})`.execute(tx)
    },
  }
  const live = config.arePoliciesPinned
    ? undefined
    : await openLivePolicies(needs, await readPolicyFiles(config.policies))
  if (live) stop.add('versions of the policies', live)
  return { live, routes: policyVersionRoutes({ ...needs, live }) }
}
