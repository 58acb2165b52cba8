import { z } from 'zod'
import { transact } from '../../kernel/db.ts'
import type { Approvals } from '../../kernel/http/approval.ts'
import { runApproved } from '../../kernel/http/handle.ts'
import { readInput } from '../../kernel/http/request.ts'
import { installation, route, type Call, type Resource, type Route } from '../../kernel/http/route.ts'
import { conflict } from '../../kernel/problem.ts'
import { identityResource } from '../../identities/identities.ts'
import type { Operation } from '../../kernel/operation.ts'
import { knownIdentity } from '../chain.ts'
import { askChange } from './ask.ts'
import * as contract from './contract.ts'
import type { ChangeNeeds } from './needs.ts'
import { redeemChange } from './redeem.ts'
import { changeResource, findRow, listChanges, loadChangeDetail, mustLoad, openInput, openOf } from './records.ts'
import { approveChange, denyChange, withdrawChange } from './say.ts'

/** How the router puts calls before others, and lets approved ones through. */
export function approvalsOfCalls(needs: ChangeNeeds): Approvals {
  return {
    output: contract.Change,
    ask: (asked, reason) => askChange(needs, asked, reason),
    redeem: (asked, changeId) => redeemChange(needs, asked, changeId),
  }
}

/** The operations on changes with what they do. */
export function changeRoutes(needs: ChangeNeeds): Route[] {
  const { db } = needs
  const resource = ({ params }: { readonly params: { readonly change: string } }) => changeResource(db, params.change)
  return [
    route(contract.listChanges, {
      resource: async ({ caller, query }): Promise<Resource> =>
        query.view === 'mine' ? identityResource(db, await knownIdentity(db, caller.id)) : installation(),
      run: ({ caller, query }) => listChanges(needs, caller, query),
    }),
    route(contract.readChange, {
      resource,
      run: ({ caller, params }) => loadChangeDetail(needs, caller, params.change),
    }),
    route(contract.approveChange, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => approveChange(tx, needs, permit, input)),
    }),
    route(contract.denyChange, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => denyChange(tx, needs, permit, input)),
    }),
    route(contract.withdrawChange, {
      resource,
      run: (_call, permit) => transact(db, (tx) => withdrawChange(tx, needs, permit)),
    }),
    route(contract.applyChange, {
      resource,
      run: (call, permit) => applyStored(needs, call, permit.resource.id),
    }),
  ]
}

/** Runs the call as it was kept, on the same way as if its caller had repeated it. */
async function applyStored(needs: ChangeNeeds, applying: Call<Operation>, id: string) {
  const row = openOf(await findRow(needs.db, id), needs.clock.now())
  const found = needs.routeOf(row.operation)
  if (found?.operation.answer !== 'json') {
    throw conflict('This release runs that operation only by the call itself, repeated with Reeve-Change.', {
      type: 'Change',
      id,
      state: row.state,
    })
  }
  const { operation } = found
  const { wire } = openInput(needs.seal, row)
  const { caller, clientAddress, signal } = applying
  const asked = { route: found, wire, call: { ...readInput(operation, wire), caller, clientAddress, signal } }
  const answer: unknown = z.encode(operation.output, await runApproved(asked, await redeemChange(needs, asked, id)))
  return { change: await mustLoad(needs.db, id), answer: answer ?? null }
}
