import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import type { FindingNeeds } from './apply.ts'
import * as contract from './contract.ts'
import { acceptFinding, reopenFinding } from './decide.ts'
import { evaluateFindings } from './evaluate.ts'
import { findingResource, listFindings, readFinding } from './lists.ts'

export function findingRoutes(needs: FindingNeeds & { readonly db: Db }): Route[] {
  const { db, clock } = needs
  const ofAll = async () => installation()
  const resource = ({ params }: { readonly params: { readonly finding: string } }) =>
    findingResource(db, params.finding)
  return [
    route(contract.listFindings, { resource: ofAll, run: ({ query }) => listFindings(db, clock, query) }),
    route(contract.readFinding, { resource, run: (_call, permit) => readFinding(db, permit.resource.id) }),
    route(contract.acceptFinding, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => acceptFinding(tx, needs, permit, input)),
    }),
    route(contract.reopenFinding, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => reopenFinding(tx, needs, permit, input)),
    }),
    route(contract.evaluateFindings, {
      resource: ofAll,
      run: ({ signal }) => evaluateFindings(db, needs, signal),
    }),
  ]
}
