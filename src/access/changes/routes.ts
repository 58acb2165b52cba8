import { z } from 'zod'
import { transact } from '../../kernel/db.ts'
import type { Approvals, AskedCall } from '../../kernel/http/approval.ts'
import { runApproved } from '../../kernel/http/handle.ts'
import { readInput } from '../../kernel/http/request.ts'
import {
  installation,
  route,
  type Call,
  type Caller,
  type Inner,
  type Resource,
  type Route,
} from '../../kernel/http/route.ts'
import { conflict } from '../../kernel/problem.ts'
import { identityResource } from '../../identities/identities.ts'
import type { Operation } from '../../kernel/operation.ts'
import { knownIdentity } from '../chain.ts'
import { askChange } from './ask.ts'
import { aboutOf, consider } from './consider.ts'
import * as contract from './contract.ts'
import type { ChangeNeeds } from './needs.ts'
import { redeemChange } from './redeem.ts'
import {
  changeResource,
  findRow,
  listChanges,
  loadChangeDetail,
  mustLoad,
  openInput,
  openOf,
  type LockedChange,
} from './records.ts'
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
      preview: ({ caller, params }) => saidOfChange(needs, caller, params.change),
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
      preview: ({ caller, params }) => saidOfChange(needs, caller, params.change),
      inner: (call) => innerOfApplying(needs, call, call.params.change),
      run: (call, permit) => applyStored(needs, call, permit.resource.id),
    }),
  ]
}

/** What somebody who decides on a change, or applies it, is shown of it. */
async function saidOfChange(needs: ChangeNeeds, caller: Caller, id: string): Promise<string[]> {
  const { operation, resource, params, input, hidden, reason, preview, boundSha256 } = await loadChangeDetail(
    needs,
    caller,
    id,
  )
  return [
    `${operation} on ${resource.type} ${resource.id}`,
    ...Object.entries({ ...params, ...input }).map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
    ...(hidden.length === 0 ? [] : [`kept from sight, and part of it: ${hidden.join(', ')}`]),
    ...preview,
    `because: ${reason}`,
    `the whole of it has the hash ${boundSha256}`,
  ]
}

/** What the call that is kept owes of its person, and what others approved of it. */
async function innerOfApplying(needs: ChangeNeeds, applying: Call<Operation>, id: string): Promise<Inner> {
  const row = await findRow(needs.db, id)
  const asked = storedCall(needs, applying, row)
  const { reason, simulation, boundSha256 } = row
  const { salt } = openInput(needs.seal, row)
  const { decision } = await consider(needs.db, needs, asked, await aboutOf(asked), { reason, simulation, salt })
  return { level: decision.obligations.stepUp, boundSha256 }
}

/** Runs the call as it was kept, on the same way as if its caller had repeated it. */
async function applyStored(needs: ChangeNeeds, applying: Call<Operation>, id: string) {
  const asked = storedCall(needs, applying, await findRow(needs.db, id))
  const { operation } = asked.route
  const answer: unknown = z.encode(operation.output, await runApproved(asked, await redeemChange(needs, asked, id)))
  return { change: await mustLoad(needs.db, id), answer: answer ?? null }
}

/** The call as it was kept, by who applies it. */
function storedCall(needs: ChangeNeeds, applying: Call<Operation>, found: LockedChange): AskedCall {
  const row = openOf(found, needs.clock.now())
  const route = needs.routeOf(row.operation)
  if (route?.operation.answer !== 'json') {
    throw conflict('This release runs that operation only by the call itself, repeated with Reeve-Change.', {
      type: 'Change',
      id: row.id,
      state: row.state,
    })
  }
  const { wire } = openInput(needs.seal, row)
  const { caller, clientAddress, signal, stepUp } = applying
  const given = { ...readInput(route.operation, wire), caller, clientAddress, signal, ...(stepUp && { stepUp }) }
  return { route, wire, call: given }
}
