import { findIdentity, identityResource, mayKnowTokensOf, type Teams } from '../../identities/identities.ts'
import { transact } from '../../kernel/db.ts'
import { route, type Route } from '../../kernel/http/route.ts'
import { notFound } from '../../kernel/problem.ts'
import * as contract from './contract.ts'
import { listPasskeys, loadPasskey, passkeyResource, removePasskey } from './manage.ts'
import type { PasskeyNeeds } from './needs.ts'

/** The operations on passkeys; how one is made and shown is a matter of pages, since it takes a browser. */
export function passkeyRoutes(needs: PasskeyNeeds & { readonly teams: Teams }): Route[] {
  const { db, teams } = needs
  return [
    route(contract.listPasskeys, {
      resource: async ({ params, caller }) => {
        const identity = await findIdentity(db, params.identity)
        // Known to whom tokens are: oneself, and those who may stop anything.
        if (await mayKnowTokensOf(db, teams, caller, identity)) return identityResource(db, identity)
        throw notFound('There is no such identity.', { type: 'Identity', id: params.identity })
      },
      run: ({ query }, permit) => listPasskeys(db, permit.resource.id, query),
    }),
    route(contract.removePasskey, {
      resource: async ({ params }) => passkeyResource(await loadPasskey(db, params.passkey)),
      run: (_call, permit) => transact(db, (tx) => removePasskey(tx, needs, permit)),
    }),
  ]
}
