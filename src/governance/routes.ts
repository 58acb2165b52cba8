import { findIdentity, identityResource } from '../identities/identities.ts'
import type { Db } from '../kernel/db.ts'
import { route, type Caller, type Route } from '../kernel/http/route.ts'
import { notFound } from '../kernel/problem.ts'
import { assessAgainst } from './assess.ts'
import * as contract from './contract.ts'
import type { FindingNeeds } from './findings/apply.ts'
import { openOn } from './findings/lists.ts'
import { severityAt } from './findings/records.ts'
import { findingRoutes } from './findings/routes.ts'
import { adoptionRoutes, type AdoptionNeeds } from './adoption/routes.ts'
import { classRoutes } from './classes/routes.ts'
import { graphRoutes } from './graph/routes.ts'
import { ownerRoutes } from './owners/routes.ts'
import { liveCredentials } from './credentials.ts'
import { reachOf } from './reach.ts'
import type { Standard } from './standard.ts'
import { toolRoutes } from './tools/routes.ts'

export type GovernanceNeeds = FindingNeeds & AdoptionNeeds & { readonly standard: Standard }

/** The operations of this folder with what they do. */
export function governanceRoutes(needs: GovernanceNeeds): Route[] {
  const { db, clock, standard } = needs
  return [
    ...findingRoutes(needs),
    ...graphRoutes(needs),
    ...ownerRoutes(needs),
    ...classRoutes(needs),
    ...adoptionRoutes(needs),
    ...toolRoutes(needs),
    route(contract.assessIdentity, {
      resource: async ({ params, caller }) => identityResource(db, await known(db, params.identity, caller)),
      run: async (_call, permit) => {
        const now = clock.now()
        const identity = await findIdentity(db, permit.resource.id)
        const credentials = await liveCredentials(db, identity.id, now)
        const { isInScope, tier, isComplete, unseen, reached, escalation } = await reachOf(db, identity.id, now)
        const findings = (await openOn(db, identity.id)).map(({ severity, ...each }) => ({
          ...each,
          severity: severityAt(severity),
        }))
        return {
          ...assessAgainst(standard, { identity, credentials, now }),
          reach: { isInScope, tier, isComplete, unseen: [...unseen], reached: [...reached], escalation },
          findings,
        }
      },
    }),
  ]
}

/** People know the inventory; everything else knows itself, and of others not even that they exist. */
async function known(db: Db, nameOrId: string, caller: Caller) {
  if (caller.kind === 'human') return findIdentity(db, nameOrId)
  if (nameOrId === caller.id || nameOrId === caller.name) return findIdentity(db, caller.id)
  throw notFound('There is no such identity.', { type: 'Identity', id: nameOrId })
}
