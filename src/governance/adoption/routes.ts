import { findIdentity, identityResource, type IdentityNeeds } from '../../identities/identities.ts'
import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import { adoptPrincipals, unadoptPrincipal } from './adopt.ts'
import * as contract from './contract.ts'

export type AdoptionNeeds = IdentityNeeds & { readonly db: Db }

/** How what was found comes into the record, and out of it again. */
export function adoptionRoutes(needs: AdoptionNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.adoptPrincipals, {
      resource: async () => installation(),
      run: ({ input }, permit) => adoptPrincipals(db, needs, permit, input),
    }),
    route(contract.unadoptPrincipal, {
      resource: async ({ params }) => identityResource(db, await findIdentity(db, params.identity)),
      run: ({ input }, permit) => transact(db, (tx) => unadoptPrincipal(tx, needs, permit, input)),
    }),
  ]
}
