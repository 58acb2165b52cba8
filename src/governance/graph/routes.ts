import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import * as contract from './contract.ts'
import { exportPaths } from './export.ts'
import { listPaths, readPath, readReach } from './paths.ts'

export function graphRoutes({ db, clock }: { readonly db: Db; readonly clock: Clock }): Route[] {
  const resource = async () => installation()
  return [
    route(contract.listPaths, { resource, run: ({ query }) => listPaths(db, clock, query) }),
    route(contract.readPath, { resource, run: ({ params, query }) => readPath(db, clock, params.thing, query.to) }),
    route(contract.readReach, { resource, run: ({ params }) => readReach(db, clock, params.thing) }),
    route(contract.exportPaths, { resource, run: ({ query }) => exportPaths(db, clock, query) }),
  ]
}
