import type { Teams } from '../../identities/identities.ts'
import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { attestOwners, declineOwner, listCandidates, toAccept } from './candidates.ts'
import * as contract from './contract.ts'
import { evaluateOwners } from './evaluate.ts'
import { attestServices, evaluateServices, listServices } from './services.ts'

export type OwnerNeeds = { readonly db: Db; readonly clock: Clock; readonly ledger: Ledger; readonly teams: Teams }

export function ownerRoutes(needs: OwnerNeeds): Route[] {
  const { db, clock } = needs
  const resource = async () => installation()
  return [
    route(contract.listCandidates, { resource, run: ({ query }) => listCandidates(db, clock, query) }),
    route(contract.attestOwners, {
      resource,
      // Who approves reads each identity with its evidence, and the approval is of exactly these lines.
      preview: async ({ input, caller }) => (await toAccept(db, caller.id, input)).map(({ line }) => line),
      run: async ({ input }, permit) => ({
        identities: await transact(db, (tx) => attestOwners(tx, needs, permit, input)),
      }),
    }),
    route(contract.declineOwner, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => declineOwner(tx, needs, permit, input)),
    }),
    route(contract.evaluateOwners, {
      resource,
      run: () =>
        transact(db, async (tx) => {
          const { candidates, changed } = await evaluateOwners(tx, needs)
          const services = await evaluateServices(tx, needs)
          return {
            candidates: candidates + services.candidates,
            changed: changed + services.changed,
          }
        }),
    }),
    route(contract.listServices, { resource, run: ({ query }) => listServices(db, clock, query) }),
    route(contract.attestServices, {
      resource,
      run: async ({ input }, permit) => ({
        identities: await transact(db, (tx) => attestServices(tx, needs, permit, input)),
      }),
    }),
  ]
}
