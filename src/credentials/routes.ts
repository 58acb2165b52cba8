import { transact, type Db } from '../kernel/db.ts'
import { installation, route, type Route } from '../kernel/http/route.ts'
import * as contract from './contract.ts'
import type { CredentialNeeds } from './needs.ts'
import { leaseResource, listLeases, readLease, retryLease } from './reads.ts'

/** `wake` tells this node's worker that a lease was made due; other nodes look by themselves. */
export function credentialRoutes(
  needs: Pick<CredentialNeeds, 'clock' | 'ledger'> & { readonly db: Db; readonly wake: () => void },
): Route[] {
  const { db } = needs
  return [
    route(contract.listLeases, {
      resource: async () => installation(),
      run: ({ query }) => listLeases(db, query),
    }),
    route(contract.readLease, {
      resource: ({ params }) => leaseResource(db, params.lease),
      run: ({ params }) => readLease(db, params.lease),
    }),
    route(contract.retryLease, {
      resource: ({ params }) => leaseResource(db, params.lease),
      run: async (_call, permit) => {
        const lease = await transact(db, (tx) => retryLease(tx, needs, permit))
        needs.wake()
        return lease
      },
    }),
  ]
}
