import { actOf, findIdentity, identityResource } from '../../identities/identities.ts'
import { transact } from '../../kernel/db.ts'
import { installation, openRoute, route, type Caller, type OpenRoute, type Route } from '../../kernel/http/route.ts'
import type { Permit } from '../../kernel/permit.ts'
import { notFound } from '../../kernel/problem.ts'
import { noTrustDomain } from '../spiffe/contract.ts'
import { SvidIssuer, type SvidNeeds } from '../spiffe/issuer.ts'
import * as contract from './contract.ts'
import { Following, mustBeAdmitted, placedOn } from './follow.ts'
import { evict, invite, pageOfMachines } from './invite.ts'
import { join, renew } from './join.ts'
import type { MachineNeeds } from './needs.ts'
import { endThePlacement, findPlacement, pageOfPlacements, place } from './placements.ts'

type Needs = Omit<MachineNeeds, 'trustDomain'> & { readonly trustDomain: string | undefined }
type Issuing = Pick<SvidNeeds, 'view' | 'recorded'>

/** An hour, or less by the identity's tier. */
const X509_SECONDS = 3600
const JWT_SECONDS = 300

/** What the API offers of machines and the workloads on them. */
export function machineRoutes(needs: Needs & Issuing): Route[] {
  return [...peopleRoutes(needs), ...placementRoutes(needs), ...agentRoutes(needs)]
}

/** The way in of a machine that proves itself by what it was invited with. */
export function machineOpenRoutes(needs: Needs): OpenRoute[] {
  const { db } = needs
  return [
    openRoute(contract.joinMachine, ({ input }) => {
      const on = enabled(needs)
      return transact(db, (tx) => join(tx, on, input))
    }),
  ]
}

/** Whatever is about an identity is asked by people; nobody else knows of others. */
function about({ db }: Needs) {
  return async ({ params, caller }: { readonly params: { readonly identity: string }; readonly caller: Caller }) => {
    if (caller.kind !== 'human') throw notFound('There is no such identity.', { type: 'Identity', id: params.identity })
    return identityResource(db, await findIdentity(db, params.identity))
  }
}

function peopleRoutes(needs: Needs): Route[] {
  const { db } = needs
  return [
    route(contract.inviteMachine, {
      resource: about(needs),
      run: ({ input }, permit) => transact(db, (tx) => invite(tx, enabled(needs), permit, input)),
    }),
    route(contract.evictMachine, {
      resource: about(needs),
      run: ({ input }, permit) => transact(db, (tx) => evict(tx, needs, permit, input)),
    }),
    route(contract.listMachines, {
      resource: async () => installation(),
      run: ({ query }) => pageOfMachines(db, query),
    }),
  ]
}

function placementRoutes(needs: Needs): Route[] {
  const { db } = needs
  return [
    route(contract.createPlacement, {
      resource: about(needs),
      preview: async ({ input, params }) => [
        `Processes on ${input.machine} that ${input.selectors.join(' and ')} fit will be ${params.identity}.`,
      ],
      run: ({ input }, permit) => transact(db, (tx) => place(tx, needs, permit, input)),
    }),
    route(contract.endPlacement, {
      resource: async ({ params, caller }) => {
        if (caller.kind !== 'human') {
          throw notFound('There is no such placement.', { type: 'Placement', id: params.placement })
        }
        const { identityId } = await findPlacement(db, params.placement)
        return identityResource(db, await findIdentity(db, identityId))
      },
      run: ({ input, params }, permit) =>
        transact(db, (tx) => endThePlacement(tx, needs, permit, { id: params.placement, reason: input.reason })),
    }),
    route(contract.listPlacements, {
      resource: async () => installation(),
      run: ({ query }) => pageOfPlacements(db, query),
    }),
  ]
}

/** What the agent of a machine calls, about its own machine. */
function agentRoutes(needs: Needs & Issuing): Route[] {
  const { db, trustDomain } = needs
  const on = trustDomain === undefined ? undefined : { ...needs, trustDomain }
  const following = on && new Following(on)
  const issuer = on && new SvidIssuer(db, { ...on, view: needs.view, recorded: needs.recorded })
  const own = async ({ caller }: { readonly caller: Caller }) => identityResource(db, await findIdentity(db, caller.id))
  const placed = async (caller: Caller, permit: Permit, placement: string) => {
    await mustBeAdmitted(db, caller)
    const identityId = await placedOn(db, caller.id, placement)
    if (identityId === undefined) throw notFound('There is no such placement.', { type: 'Placement', id: placement })
    return {
      act: { ...actOf(permit), resource: { type: 'Identity', id: identityId } },
      identityId,
      machineId: caller.id,
    }
  }
  return [
    route(contract.renewMachine, {
      resource: own,
      run: ({ caller, input }, permit) => {
        const enabledNeeds = enabled(needs)
        return transact(db, (tx) => renew(tx, enabledNeeds, permit, { caller, input }))
      },
    }),
    route(contract.followMachine, {
      resource: own,
      run: ({ caller, query, signal }) => (following ?? refuse()).state(caller, query, signal),
    }),
    route(contract.certifyOnMachine, {
      resource: own,
      run: async ({ caller, input: { placement, publicKey } }, permit) => {
        const asked = await placed(caller, permit, placement)
        const issuedAt = needs.clock.now()
        const { certificate, expiresAt } = await (issuer ?? refuse()).certify(asked, {
          publicKey,
          ttlSeconds: X509_SECONDS,
        })
        return { certificate, issuedAt, expiresAt }
      },
    }),
    route(contract.vouchOnMachine, {
      resource: own,
      run: async ({ caller, input: { placement, audience } }, permit) => {
        const asked = await placed(caller, permit, placement)
        const issuedAt = needs.clock.now()
        const { token, expiresAt } = await (issuer ?? refuse()).vouch(asked, { audience, ttlSeconds: JWT_SECONDS })
        return { token, issuedAt, expiresAt }
      },
    }),
  ]
}

function enabled({ trustDomain, ...needs }: Needs): MachineNeeds {
  return trustDomain === undefined ? refuse() : { ...needs, trustDomain }
}

function refuse(): never {
  throw noTrustDomain('Set spiffe.trustDomain in the configuration: a name such as example.org.', {})
}
