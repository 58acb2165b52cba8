import { transact } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import * as contract from './federation-contract.ts'
import { endDomain, federate, listDomains, refresh, type FederationNeeds } from './federation.ts'

/** What the API offers of trust domains of others. */
export function federationRoutes(needs: FederationNeeds): Route[] {
  const { db } = needs
  const resource = async () => installation()
  return [
    route(contract.createTrustDomain, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => federate(tx, needs, permit, input)),
    }),
    route(contract.refreshTrustDomain, {
      resource,
      run: ({ params, signal }) => refresh(needs, params.domain, signal),
    }),
    route(contract.endTrustDomain, {
      resource,
      run: ({ params, input }, permit) =>
        transact(db, (tx) => endDomain(tx, needs, permit, { name: params.domain, reason: input.reason })),
    }),
    route(contract.listTrustDomains, { resource, run: () => listDomains(db) }),
  ]
}
