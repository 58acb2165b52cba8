import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { route, type Route } from '../../kernel/http/route.ts'
import { findTarget, targetResource } from '../../catalog/catalog.ts'
import * as contract from './contract.ts'
import { readFriction } from './read.ts'

/** What measures a target's friction. */
export function frictionRoutes({ db, clock }: { readonly db: Db; readonly clock: Clock }): Route[] {
  return [
    route(contract.readFriction, {
      resource: async ({ params }) => targetResource(await findTarget(db, params.target)),
      run: async ({ query }, permit) =>
        readFriction(db, await findTarget(db, permit.resource.id), clock.now(), query.days),
    }),
  ]
}
