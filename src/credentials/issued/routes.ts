import { grantResource, loadGrant } from '../../access/access.ts'
import type { Db } from '../../kernel/db.ts'
import { route, type Route } from '../../kernel/http/route.ts'
import { notFound } from '../../kernel/problem.ts'
import { issueCredential } from './contract.ts'
import { issueFor, type IssuedNeeds } from './issue.ts'

export function issuedRoutes(needs: IssuedNeeds & { readonly db: Db }): Route[] {
  const { db } = needs
  return [
    route(issueCredential, {
      resource: ({ params }) => grantResource(db, params.grant),
      run: async ({ params, input, caller: { proof }, clientAddress: address, signal }, permit) => {
        const grant = await loadGrant(db, params.grant)
        if (!grant) throw notFound('There is no such grant.', { type: 'Grant', id: params.grant })
        return issueFor(db, needs, permit, { proof, address, grant, wantsSignIn: input.signIn }, signal)
      },
    }),
  ]
}
