import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Resource, type Route } from '../../kernel/http/route.ts'
import { identityResource } from '../../identities/identities.ts'
import { knownIdentity } from '../chain.ts'
import type { AccessNeeds } from '../needs.ts'
import * as contract from './contract.ts'
import { holdResource, listHolds, loadHoldDetail } from './records.ts'
import { refuseHold, releaseHold } from './say.ts'

/** The operations on held operations with what they do. */
export function holdRoutes(needs: AccessNeeds & { readonly db: Db }): Route[] {
  const { db, teams } = needs
  const resource = ({ params }: { readonly params: { readonly hold: string } }) => holdResource(db, params.hold)
  return [
    route(contract.listHolds, {
      resource: async ({ caller, query }): Promise<Resource> =>
        query.view === 'mine' ? identityResource(db, await knownIdentity(db, caller.id)) : installation(),
      run: ({ caller, query }) => listHolds(db, { teams, now: needs.clock.now() }, caller, query),
    }),
    route(contract.readHold, { resource, run: ({ params }) => loadHoldDetail(db, teams, params.hold) }),
    route(contract.releaseHold, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => releaseHold(tx, needs, permit, input)),
    }),
    route(contract.refuseHold, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => refuseHold(tx, needs, permit, input)),
    }),
  ]
}
