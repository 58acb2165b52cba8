import { transact, type Db } from '../kernel/db.ts'
import { installation, route, type Resource, type Route } from '../kernel/http/route.ts'
import { actOf } from '../identities/identities.ts'
import * as contract from './contract.ts'
import { exportInventory } from './export.ts'
import { deliverToSource } from './sources/inbox.ts'
import { listInventory, readInventory } from './lists.ts'
import { measureInventory } from './measure.ts'
import type { InventoryNeeds } from './needs.ts'
import { collectSource } from './reading/reconcile.ts'
import { resolutionRoutes } from './resolution/routes.ts'
import { findSource, listSources, sourceDetail } from './sources/source-records.ts'
import { probeSource, registerSource, retireSource, updateSource } from './sources/sources.ts'

/** What the API offers of the inventory. */
export function inventoryRoutes(needs: InventoryNeeds & { readonly db: Db }): Route[] {
  const { db, clock } = needs
  const ofAll = async () => installation()
  return [
    ...sourceRoutes(needs),
    ...resolutionRoutes(needs),
    route(contract.listInventory, {
      resource: ofAll,
      run: ({ params, query }) => listInventory(db, clock, params.kind, query),
    }),
    route(contract.readInventory, {
      resource: ofAll,
      run: ({ params }) => readInventory(db, clock, params.kind, params.id),
    }),
    route(contract.readCoverage, { resource: ofAll, run: () => measureInventory(db, clock) }),
    route(contract.exportInventory, {
      resource: ofAll,
      run: ({ params, query }) => exportInventory(db, clock, params.kind, query),
    }),
  ]
}

function sourceRoutes(needs: InventoryNeeds & { readonly db: Db }): Route[] {
  const { db, clock } = needs
  const resource = async ({ params }: { readonly params: { readonly source: string } }) =>
    sourceResource(await findSource(db, params.source))
  return [
    route(contract.registerSource, {
      resource: async () => installation(),
      run: ({ input }, permit) => transact(db, (tx) => registerSource(tx, needs, permit, input)),
    }),
    route(contract.listSources, {
      resource: async () => installation(),
      run: ({ query }) => listSources(db, clock, query),
    }),
    route(contract.readSource, { resource, run: (_call, permit) => sourceDetail(db, permit.resource.id) }),
    route(contract.probeSource, {
      resource,
      run: ({ signal }, permit) => probeSource(db, needs, permit, signal),
    }),
    route(contract.collectSource, {
      resource,
      run: async ({ signal }, permit) => {
        const { actor, onBehalfOf = [], action, decision } = actOf(permit)
        const act = { actor, onBehalfOf, ...(action !== undefined && { action }), ...(decision && { decision }) }
        const { scopes, ...collected } = await collectSource(db, needs, permit.resource.id, act, { signal })
        return { ...collected, scopes: scopes.map((scope) => ({ ...scope, missing: [...scope.missing] })) }
      },
    }),
    route(contract.deliverToSource, {
      resource: async ({ params }) => {
        const source = await findSource(db, params.source)
        const delivererId = needs.connectors.get(source.connector)?.inbox?.delivererOf(source.settings)
        const of = sourceResource(source)
        return delivererId === undefined ? of : { ...of, attributes: { ...of.attributes, delivererId } }
      },
      run: ({ input }, permit) => deliverToSource(db, needs, permit, input),
    }),
    route(contract.updateSource, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => updateSource(tx, needs, permit, input)),
    }),
    route(contract.retireSource, {
      resource,
      run: (_call, permit) => transact(db, (tx) => retireSource(tx, needs, permit)),
    }),
  ]
}

function sourceResource({ id, name, connector, environment }: contract.Source): Resource {
  return { type: 'Source', id, attributes: { id, name, kind: connector, environment } }
}
