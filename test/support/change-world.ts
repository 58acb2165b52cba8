import type { TestContext } from 'node:test'
import { approvalsOfCalls, changeRoutes, type ChangeNeeds } from '../../src/access/access.ts'
import type { Change } from '../../src/access/contract.ts'
import { catalogRoutes } from '../../src/catalog/catalog.ts'
import { identityRoutes, type TeamsMap } from '../../src/identities/identities.ts'
import type { Identity } from '../../src/identities/contract.ts'
import type { AskedCall } from '../../src/kernel/http/approval.ts'
import { runApproved } from '../../src/kernel/http/handle.ts'
import { readInput } from '../../src/kernel/http/request.ts'
import type { Caller, Route } from '../../src/kernel/http/route.ts'
import { systemRandom } from '../../src/kernel/random.ts'
import { accessWorld, type AccessWorld } from './access-world.ts'

export type Wired = { readonly params?: Record<string, string>; readonly input?: unknown }

/** A world in which operations themselves can be put before others, by the real routes and the shipped policies. */
export type ChangeWorld = Omit<AccessWorld, 'founder'> & {
  readonly changes: ChangeNeeds
  readonly founder: Identity
  readonly routes: ReadonlyMap<string, Route>
  readonly askedBy: (who: Identity, operation: string, wired: Wired, proof?: Caller['proof']) => AskedCall
  /** Puts a call before others. */
  readonly put: (who: Identity, operation: string, wired: Wired, reason?: string) => Promise<Change>
  /** The same call with the change that allows it. */
  readonly repeat: (who: Identity, change: Pick<Change, 'id'>, operation: string, wired: Wired) => Promise<unknown>
  /** An operation on changes, decided by the policies. */
  readonly on: (who: Identity, operation: string, wired: Wired) => Promise<unknown>
  readonly stateOf: (change: Pick<Change, 'id'>) => Promise<string>
}

export async function changeWorld(
  t: Pick<TestContext, 'after'>,
  options: { teams?: TeamsMap; max?: number; more?: (world: AccessWorld) => Promise<readonly Route[]> } = {},
): Promise<ChangeWorld> {
  const w = await accessWorld(t, options)
  const { db, needs, access } = w
  const founder = await w.founder()
  const routes = new Map<string, Route>()
  const changes: ChangeNeeds = { ...access, db, seal: needs.seal, routeOf: (operation) => routes.get(operation) }
  const live = { ...needs, certify: async () => '', teams: access.teams, random: systemRandom, db }
  for (const route of [
    ...identityRoutes(live),
    ...catalogRoutes(live),
    ...changeRoutes(changes),
    ...((await options.more?.(w)) ?? []),
  ]) {
    routes.set(route.operation.id, route)
  }
  const { signal } = new AbortController()
  const askedBy: ChangeWorld['askedBy'] = (who, operation, { params = {}, input }, proof) => {
    const route = routes.get(operation)
    if (!route) throw new Error(`there is no operation ${operation}`)
    const wire = { params, query: {}, input }
    const call = {
      ...readInput(route.operation, wire),
      caller: w.caller(who, proof),
      clientAddress: '127.0.0.1',
      signal,
    }
    return { route, wire, call }
  }
  const approvals = approvalsOfCalls(changes)
  return {
    ...w,
    changes,
    founder,
    routes,
    askedBy,
    put: async (who, operation, wired, reason = 'the test says so') => {
      const asked: unknown = await approvals.ask(askedBy(who, operation, wired), reason)
      return asked as Change
    },
    repeat: async (who, { id }, operation, wired) => {
      const asked = askedBy(who, operation, wired)
      return runApproved(asked, await approvals.redeem(asked, id))
    },
    on: async (who, operation, wired) => {
      const { route, call } = askedBy(who, operation, wired)
      const resource = await route.resource(call)
      const permit = await access.decisions.permit(db, {
        subject: { type: 'Person', id: who.id, proof: call.caller.proof },
        action: operation,
        resource,
        context: await route.context(call),
      })
      return route.run(call, permit)
    },
    stateOf: async ({ id }) =>
      (await db.selectFrom('change').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state,
  }
}
