import { findIdentity, identityResource, type IdentityNeeds } from '../../identities/identities.ts'
import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import { adoptPrincipals, unadoptPrincipal } from './adopt.ts'
import * as contract from './contract.ts'
import { continueAdoption, listRuns, startAdoption, undoAdoption } from './runs.ts'

export type AdoptionNeeds = IdentityNeeds & { readonly db: Db }

/** How what was found comes into the record, and out of it again. */
export function adoptionRoutes(needs: AdoptionNeeds): Route[] {
  const { db } = needs
  const resource = async () => installation()
  return [
    route(contract.adoptPrincipals, {
      resource,
      run: ({ input }, permit) => adoptPrincipals(db, needs, permit, input),
    }),
    route(contract.startAdoption, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => startAdoption(tx, needs, permit, input)),
    }),
    route(contract.continueAdoption, {
      resource,
      run: ({ params }, permit) => transact(db, (tx) => continueAdoption(tx, needs, permit, params.adoption)),
    }),
    route(contract.undoAdoption, {
      resource,
      run: ({ params, input }, permit) =>
        transact(db, (tx) => undoAdoption(tx, needs, permit, { id: params.adoption, reason: input.reason })),
    }),
    route(contract.listAdoptions, { resource, run: ({ query }) => listRuns(db, needs.clock, query) }),
    route(contract.unadoptPrincipal, {
      resource: async ({ params }) => identityResource(db, await findIdentity(db, params.identity)),
      run: ({ input }, permit) => transact(db, (tx) => unadoptPrincipal(tx, needs, permit, input)),
    }),
  ]
}
