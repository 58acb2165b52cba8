import { transact, type Db } from '../../kernel/db.ts'
import { installation, route, type Route } from '../../kernel/http/route.ts'
import * as contract from './contract.ts'
import { putDeposit, retireDeposit } from './deposits.ts'
import type { CustodyNeeds } from './needs.ts'
import { exportDeposit, revealDeposit } from './open.ts'
import { depositResource, depositToPut, list, mustFind, read } from './records.ts'

const REASON = { context: async () => ({ reasonGiven: true }) }

/** What the API offers of custody. */
export function custodyRoutes(needs: CustodyNeeds & { readonly db: Db }): Route[] {
  const { db } = needs
  const resource = ({ params }: { readonly params: { readonly deposit: string } }) =>
    depositResource(db, params.deposit)
  return [
    route(contract.listDeposits, { resource: async () => installation(), run: ({ query }) => list(db, query) }),
    route(contract.readDeposit, { resource, run: ({ params }) => read(db, params.deposit) }),
    route(contract.putDeposit, {
      resource: ({ params, input }) => depositToPut(db, params.deposit, input.ownerTeam),
      run: ({ params, input }, permit) =>
        transact(db, (tx) => putDeposit(tx, needs, permit, { ...input, name: params.deposit })),
    }),
    route(contract.revealDeposit, {
      resource,
      ...REASON,
      run: ({ input }, permit) => revealDeposit(db, needs, permit, input),
    }),
    route(contract.exportDeposit, {
      resource,
      // Approvers say yes to one version, not to whatever is the last one by then.
      preview: async ({ params, input }) => [
        `version ${input.version ?? (await mustFind(db, params.deposit)).version} of ${params.deposit}, sealed to the recipient’s key`,
      ],
      run: ({ input }, permit) => exportDeposit(db, needs, permit, input),
    }),
    route(contract.retireDeposit, {
      resource,
      ...REASON,
      run: ({ input }, permit) => transact(db, (tx) => retireDeposit(tx, needs, permit, input.reason)),
    }),
  ]
}
