import { actOf, findIdentity, identityResource } from '../identities/identities.ts'
import { transact, type Tx } from '../kernel/db.ts'
import { installation, route, type Caller, type Resource, type Route } from '../kernel/http/route.ts'
import type { Permit } from '../kernel/permit.ts'
import { ensureCase, holdCaseRow, lockCase, readCaseRow, releaseCase, reopen, suspendNow, noSuchCase } from './cases.ts'
import * as contract from './contract.ts'
import type { LifecycleNeeds, WithDb } from './needs.ts'
import { listCases, readCase } from './reads.ts'
import { listEvents, reportEvent } from './report.ts'
import { findProvisionedUser, linkProvisionedUser, listProvisionedUsers } from './scim/link.ts'
import { readVendor, revokeVendor } from './vendor.ts'

type RouteNeeds = LifecycleNeeds & WithDb

/** What the API offers of cases, of what is reported, of vendors, and of users of identity providers. */
export function lifecycleRoutes(needs: RouteNeeds): Route[] {
  return [...caseRoutes(needs), ...eventRoutes(needs), ...vendorRoutes(needs), ...userRoutes(needs)]
}

function caseRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  /** Decided on the identity that the case is about. */
  const resource = async ({ params }: { readonly params: { readonly case: string } }) => {
    const found = await db
      .selectFrom('lifecycleCase')
      .select('identityId')
      .where('id', '=', params.case)
      .executeTakeFirst()
    if (!found) throw noSuchCase(params.case)
    return identityResource(db, await findIdentity(db, found.identityId))
  }
  const change =
    (apply: typeof releaseCase) =>
    ({ params, input }: { params: { case: string }; input: { reason: string } }, permit: Permit) =>
      transact(db, async (tx) => {
        const row = await lockCase(tx, params.case)
        await apply(tx, needs, actOf(permit), { row, reason: input.reason })
        return readCaseRow(tx, params.case)
      })
  return [
    route(contract.listCases, {
      resource: async () => installation(),
      run: ({ query }) => listCases(db, query),
    }),
    route(contract.readCase, {
      resource: async () => installation(),
      run: ({ params }) => readCase(db, params.case, needs.clock.now()),
    }),
    route(contract.openCase, {
      resource: async ({ params }) => identityResource(db, await findIdentity(db, params.identity)),
      run: ({ input }, permit) => transact(db, (tx) => openByPerson(tx, needs, permit, input)),
    }),
    route(contract.advanceCase, { resource, run: change(releaseCase) }),
    route(contract.holdCase, {
      resource,
      run: change((tx, own, act, { row, reason }) => holdCaseRow(tx, own, act, { row, because: reason })),
    }),
    route(contract.reopenCase, { resource, run: change(reopen) }),
  ]
}

async function openByPerson(
  tx: Tx,
  needs: LifecycleNeeds,
  permit: Permit<'case.open'>,
  { reason: detail, soakDays }: contract.OpenCase,
): Promise<contract.LifecycleCase> {
  const act = actOf(permit)
  const identityId = permit.resource.id
  const { id } = await ensureCase(tx, needs, act, { identityId, reason: 'person', detail, soakDays })
  await suspendNow(tx, needs, act, { caseId: id, reason: detail })
  return readCaseRow(tx, id)
}

/** A report as policies know it, before anything of it is looked up. */
export function eventResource(
  { senders }: Pick<LifecycleNeeds, 'senders'>,
  { id, name, kind }: Pick<Caller, 'id' | 'name' | 'kind'>,
  type: string,
): Resource {
  const registered = (kind === 'machine' || kind === 'workload') && senders.has(name)
  return { type: 'LifecycleEvent', id: 'reported', attributes: { id: 'reported', type, requestedBy: id, registered } }
}

function eventRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.reportLifecycleEvent, {
      resource: async ({ caller, input }) => eventResource(needs, caller, input.type),
      run: ({ input }, permit) => transact(db, (tx) => reportEvent(tx, needs, permit, input)),
    }),
    route(contract.listLifecycleEvents, {
      resource: async () => installation(),
      run: ({ query }) => listEvents(db, query),
    }),
  ]
}

function vendorRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.readVendor, {
      resource: async () => installation(),
      run: ({ params }) => readVendor(db, params.vendor, needs.clock.now()),
    }),
    route(contract.revokeVendor, {
      resource: async () => installation(),
      run: ({ params, input }, permit) =>
        transact(db, (tx) => revokeVendor(tx, needs, permit, { vendor: params.vendor, reason: input.reason })),
    }),
  ]
}

function userRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.listProvisionedUsers, {
      resource: async () => installation(),
      run: ({ query }) => listProvisionedUsers(db, query),
    }),
    route(contract.linkProvisionedUser, {
      resource: async ({ input }) => identityResource(db, await findIdentity(db, input.identity)),
      context: async () => ({ reasonGiven: true }),
      preview: async ({ params, input }) => {
        const { identityName, providerId } = await findProvisionedUser(db, params.user)
        const provider = await findIdentity(db, providerId)
        return [`the user of ${provider.name} known as ${identityName} stands for ${input.identity} from then on`]
      },
      run: ({ params, input }, permit) =>
        transact(db, (tx) => linkProvisionedUser(tx, needs, permit, { user: params.user, ...input })),
    }),
  ]
}
