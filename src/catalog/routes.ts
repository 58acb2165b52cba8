import { transact, type Db } from '../kernel/db.ts'
import { installation, route, type Caller, type Route } from '../kernel/http/route.ts'
import { claimAccount, registerAccount, retireAccount } from './accounts.ts'
import { listActions } from './actions.ts'
import * as contract from './contract.ts'
import { accountResource, purposeResource, targetResource } from './entities.ts'
import { findPurpose, listPurposes } from './purpose-records.ts'
import { approvePurpose, endPurpose, proposePurpose } from './purposes.ts'
import { findAccount, findTarget, listAccounts, listTargets, type CatalogNeeds } from './records.ts'
import { loosens, setTargetMode } from './modes.ts'
import { surveyTarget } from './survey.ts'
import { registerTarget, retireTarget, updateTarget } from './targets.ts'

type RouteNeeds = CatalogNeeds & { readonly db: Db }

/** What the API offers of the catalog. */
export function catalogRoutes(needs: RouteNeeds): Route[] {
  return [...targetRoutes(needs), ...accountRoutes(needs), ...purposeRoutes(needs)]
}

type OfTarget = { readonly params: { readonly target: string }; readonly caller: Caller }

function targetOf(db: Db) {
  return async ({ params }: OfTarget) => targetResource(await findTarget(db, params.target))
}

function targetRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  const resource = targetOf(db)
  return [
    route(contract.listActions, {
      resource: async () => installation(),
      run: ({ query }) => listActions(db, query),
    }),
    route(contract.listTargets, {
      resource: async () => installation(),
      run: ({ query }) => listTargets(db, query),
    }),
    route(contract.readTarget, { resource, run: (_call, permit) => findTarget(db, permit.resource.id) }),
    route(contract.registerTarget, {
      resource: async () => installation(),
      run: ({ input }, permit) => transact(db, (tx) => registerTarget(tx, needs, permit, input)),
    }),
    route(contract.updateTarget, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => updateTarget(tx, needs, permit, input)),
    }),
    route(contract.setTargetMode, {
      resource,
      context: async ({ input }) => ({ reasonGiven: true, loosens: loosens(input.was, input.mode) }),
      run: ({ input }, permit) => transact(db, (tx) => setTargetMode(tx, needs, permit, input)),
    }),
    route(contract.retireTarget, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => retireTarget(tx, needs, permit, input)),
    }),
    route(contract.surveyTarget, {
      resource,
      run: ({ signal }, permit) => surveyTarget(db, needs, permit, signal),
    }),
  ]
}

function accountRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  const resource = async ({ params }: { readonly params: { readonly account: string } }) => {
    const account = await findAccount(db, params.account)
    return accountResource(account, await findTarget(db, account.targetId))
  }
  return [
    route(contract.listAccounts, {
      resource: targetOf(db),
      run: ({ query }, permit) => listAccounts(db, permit.resource.id, query),
    }),
    route(contract.readAccount, { resource, run: (_call, permit) => findAccount(db, permit.resource.id) }),
    route(contract.registerAccount, {
      resource: targetOf(db),
      run: ({ input }, permit) => transact(db, (tx) => registerAccount(tx, needs, permit, input)),
    }),
    route(contract.claimAccount, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => claimAccount(tx, needs, permit, input)),
    }),
    route(contract.retireAccount, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => retireAccount(tx, needs, permit, input)),
    }),
  ]
}

function purposeRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  const resource = async ({ params }: { readonly params: { readonly purpose: string } }) =>
    purposeResource(db, await findPurpose(db, params.purpose))
  return [
    route(contract.listPurposes, {
      resource: async () => installation(),
      run: ({ query }) => listPurposes(db, query),
    }),
    route(contract.readPurpose, { resource, run: (_call, permit) => findPurpose(db, permit.resource.id) }),
    route(contract.proposePurpose, {
      resource: async () => installation(),
      run: ({ input }, permit) => transact(db, (tx) => proposePurpose(tx, needs, permit, input)),
    }),
    route(contract.approvePurpose, {
      resource,
      run: (_call, permit) => transact(db, (tx) => approvePurpose(tx, needs, permit)),
    }),
    route(contract.endPurpose, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => endPurpose(tx, needs, permit, input)),
    }),
  ]
}
