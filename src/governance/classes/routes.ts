import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import { listClasses } from './classify.ts'
import { classifyInventory } from './contract.ts'

export function classRoutes({ db, clock }: { readonly db: Db; readonly clock: Clock }): Route[] {
  return [
    route(classifyInventory, {
      resource: async () => installation(),
      run: ({ query }) => listClasses(db, clock, query),
    }),
  ]
}
