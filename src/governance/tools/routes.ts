import type { Clock } from '../../kernel/clock.ts'
import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import * as contract from './contract.ts'
import { aboutTools, approveTools, listTools } from './tools.ts'

type Needs = { readonly db: Db; readonly clock: Clock; readonly ledger: Ledger }

export function toolRoutes(needs: Needs): Route[] {
  const { db, clock } = needs
  const resource = async () => installation()
  return [
    route(contract.listTools, { resource, run: ({ query }) => listTools(db, clock, query) }),
    route(contract.approveTools, {
      resource,
      // By their tier policies say whether another person has to agree, who then reads each line and is bound to it.
      context: async ({ input }) => ({ tier: (await aboutTools(db, input.tools)).tier }),
      preview: async ({ input }) => (await aboutTools(db, input.tools)).lines,
      run: async ({ input }, permit) => ({
        tools: await transact(db, (tx) => approveTools(tx, needs, permit, input)),
      }),
    }),
  ]
}
