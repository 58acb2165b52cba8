import { actOf, findIdentity, identityResource } from '../../identities/identities.ts'
import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import { consumersOfThing } from '../consumers.ts'
import { coverageOf } from '../coverage.ts'
import type { InventoryNeeds } from '../needs.ts'
import * as contract from './contract.ts'
import { linkObserved, listLinks, suggestLinks, unlinkObserved } from './links.ts'
import { mergeIdentities, splitIdentities } from './merges.ts'
import { resolveInventory } from './resolve.ts'

/** What the API offers of what is which identity. */
export function resolutionRoutes(needs: InventoryNeeds & { readonly db: Db }): Route[] {
  const { db, clock } = needs
  const ofAll = async () => installation()
  const resource = async ({ params }: { readonly params: { readonly identity: string } }) =>
    identityResource(db, await findIdentity(db, params.identity))
  return [
    route(contract.linkInventory, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => linkObserved(tx, needs, permit, input)),
    }),
    route(contract.unlinkInventory, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => unlinkObserved(tx, needs, permit, input)),
    }),
    route(contract.mergeIdentities, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => mergeIdentities(tx, needs, permit, input)),
    }),
    route(contract.splitIdentities, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => splitIdentities(tx, needs, permit, input)),
    }),
    route(contract.listLinks, { resource: ofAll, run: ({ query }) => listLinks(db, clock, query) }),
    route(contract.suggestLinks, {
      resource: ofAll,
      run: async ({ params }) => ({
        observedId: params.observed,
        items: await suggestLinks(db, params.observed),
        coverage: await coverageOf(db, clock),
      }),
    }),
    route(contract.resolveInventory, {
      resource: ofAll,
      run: (_call, permit) => {
        const { actor, onBehalfOf = [], action, decision } = actOf(permit)
        const act = { actor, onBehalfOf, ...(action !== undefined && { action }), ...(decision && { decision }) }
        return transact(db, (tx) => resolveInventory(tx, needs, act))
      },
    }),
    route(contract.readConsumers, {
      resource: ofAll,
      run: ({ params, query }) => consumersOfThing(db, needs, params.thing, query.days),
    }),
  ]
}
