import { findIdentity, identityResource } from '../identities/identities.ts'
import { transact, type Db } from '../kernel/db.ts'
import { linkTo } from '../kernel/entity.ts'
import { installation, route, type Resource, type Route } from '../kernel/http/route.ts'
import { notFound } from '../kernel/problem.ts'
import * as contract from './contract.ts'
import type { TokenNeeds } from './needs.ts'
import { createTrustRule, findTrustRule, listTrustRules, retireTrustRule } from './trust-rules.ts'

/** The operations of this folder with what they do. */
export function tokenRoutes(needs: TokenNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.createTrustRule, {
      // People know the inventory; nobody else makes rules, so of nobody else is there an identity to make them for.
      resource: async ({ params, caller }) => {
        if (caller.kind !== 'human')
          throw notFound('There is no such identity.', { type: 'Identity', id: params.identity })
        return identityResource(db, await findIdentity(db, params.identity))
      },
      preview: async ({ input, params }) => [
        `What ${input.issuer ?? input.preset} says of ${JSON.stringify(input.subject ?? 'its own key')} will prove ${params.identity}.`,
      ],
      run: ({ input }, permit) => transact(db, (tx) => createTrustRule(tx, needs, permit, input)),
    }),
    route(contract.listTrustRules, {
      resource: async () => installation(),
      run: ({ query }) => listTrustRules(db, query),
    }),
    route(contract.readTrustRule, {
      resource: async ({ params }) => ruleResource(db, params.rule),
      run: (_call, permit) => findTrustRule(db, permit.resource.id),
    }),
    route(contract.retireTrustRule, {
      resource: async ({ params }) => ruleResource(db, params.rule),
      run: async ({ input }, permit) => {
        const retired = await transact(db, (tx) => retireTrustRule(tx, needs, permit, input))
        needs.ring.flush()
        return retired
      },
    }),
  ]
}

async function ruleResource(db: Db, nameOrId: string): Promise<Resource> {
  const { id, identityId } = await findTrustRule(db, nameOrId)
  const { ownerTeam } = await findIdentity(db, identityId)
  const owner = ownerTeam === null ? {} : { ownerTeam: linkTo('Team', ownerTeam) }
  return { type: 'TrustRule', id, attributes: { id, subjectId: identityId, ...owner } }
}
