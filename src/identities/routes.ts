import { transact, type Db } from '../kernel/db.ts'
import { installation, openRoute, route, type Caller, type OpenRoute, type Route } from '../kernel/http/route.ts'
import * as contract from './contract.ts'
import { identityResource } from './entities.ts'
import { enrolIdentity, foreseeEnrolment, redeemEnrolment } from './enrolment.ts'
import { eraseIdentity } from './erase.ts'
import {
  activateIdentity,
  registerIdentity,
  resumeIdentity,
  retireIdentity,
  suspendIdentity,
  updateIdentity,
} from './lifecycle.ts'
import { assignOwner, attestOwner, loseOwner } from './ownership.ts'
import { findIdentity, listIdentities, unknownIdentity, type IdentityNeeds } from './record.ts'
import { findToken, issueToken, listTokens, mayKnowTokensOf, revokeToken, tokenResource } from './tokens.ts'

/** Makes the certificate by which a caller shows the key that its token is bound to. */
export type CertifyToken = (
  publicKey: string,
  token: { readonly identityId: string; readonly expiresAt: Date },
) => Promise<string>

type RouteNeeds = IdentityNeeds & { readonly db: Db; readonly certify: CertifyToken }

/** What the API offers of the shared record. */
export function identityRoutes(needs: RouteNeeds): Route[] {
  return [...readRoutes(needs), ...lifecycleRoutes(needs), ...ownerRoutes(needs), ...credentialRoutes(needs)]
}

/** What is callable without a token: the way to the first one. */
export function identityOpenRoutes(needs: RouteNeeds): OpenRoute[] {
  return [
    openRoute(contract.redeemEnrolment, async ({ input }) => {
      if (input.publicKey === undefined) {
        const { token, ...issued } = await transact(needs.db, (tx) => redeemEnrolment(tx, needs, input))
        return { ...issued, token: token.reveal() }
      }
      // Whoever holds the key that certifies may take long, or fail: then the link is not spent, and nothing is locked meanwhile.
      const foreseen = await transact(needs.db, (tx) => foreseeEnrolment(tx, needs, input))
      const certificate = await needs.certify(input.publicKey, foreseen)
      const { token, ...issued } = await transact(needs.db, (tx) => redeemEnrolment(tx, needs, input, foreseen))
      return { ...issued, token: token.reveal(), certificate }
    }),
  ]
}

/** By which certificate the key is shown that was sent along. */
async function certified(
  needs: RouteNeeds,
  { publicKey }: { readonly publicKey?: string | undefined },
  token: Parameters<CertifyToken>[1],
): Promise<{ readonly certificate?: string }> {
  return publicKey === undefined ? {} : { certificate: await needs.certify(publicKey, token) }
}

type Named = { readonly params: { readonly identity: string }; readonly caller: Caller }

/** People know the inventory; everything else knows itself, and of others not even that they exist. */
async function known(db: Db, nameOrId: string, caller: Caller) {
  const isPerson = caller.kind === 'human'
  if (!isPerson && nameOrId !== caller.id && nameOrId !== caller.name) throw unknownIdentity(nameOrId)
  const identity = await findIdentity(db, nameOrId)
  if (!isPerson && identity.id !== caller.id) throw unknownIdentity(nameOrId)
  return identity
}

function about(db: Db) {
  return async ({ params, caller }: Named) => identityResource(db, await known(db, params.identity, caller))
}

function readRoutes({ db }: RouteNeeds): Route[] {
  return [
    route(contract.listIdentities, {
      resource: async () => installation(),
      run: ({ query }) => listIdentities(db, query),
    }),
    route(contract.readIdentity, {
      resource: about(db),
      run: (_call, permit) => findIdentity(db, permit.resource.id),
    }),
    route(contract.whoami, {
      resource: async ({ caller }) => identityResource(db, await findIdentity(db, caller.id)),
      run: (_call, permit) => findIdentity(db, permit.resource.id),
    }),
  ]
}

function lifecycleRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  const resource = about(db)
  return [
    route(contract.registerIdentity, {
      resource: async () => installation(),
      run: ({ input }, permit) => transact(db, (tx) => registerIdentity(tx, needs, permit, input)),
    }),
    route(contract.updateIdentity, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => updateIdentity(tx, needs, permit, input)),
    }),
    route(contract.activateIdentity, {
      resource,
      run: (_call, permit) => transact(db, (tx) => activateIdentity(tx, needs, permit)),
    }),
    route(contract.suspendIdentity, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => suspendIdentity(tx, needs, permit, input)),
    }),
    route(contract.resumeIdentity, {
      resource,
      run: (_call, permit) => transact(db, (tx) => resumeIdentity(tx, needs, permit)),
    }),
    route(contract.retireIdentity, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => retireIdentity(tx, needs, permit, input)),
    }),
    route(contract.eraseIdentity, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => eraseIdentity(tx, needs, permit, input)),
    }),
  ]
}

function ownerRoutes(needs: RouteNeeds): Route[] {
  const { db } = needs
  const resource = about(db)
  return [
    route(contract.assignOwner, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => assignOwner(tx, needs, permit, input)),
    }),
    route(contract.attestOwner, {
      resource,
      run: (_call, permit) => transact(db, (tx) => attestOwner(tx, needs, permit)),
    }),
    route(contract.loseOwner, {
      resource,
      run: ({ input }, permit) => transact(db, (tx) => loseOwner(tx, needs, permit, input)),
    }),
  ]
}

function credentialRoutes(needs: RouteNeeds): Route[] {
  const { db, teams } = needs
  const resource = about(db)
  return [
    route(contract.enrolIdentity, {
      resource,
      run: async ({ caller, input }, permit) => {
        const { secret, ...link } = await transact(db, (tx) => enrolIdentity(tx, needs, permit, { caller, input }))
        return { ...link, secret: secret.reveal() }
      },
    }),
    route(contract.issueToken, {
      resource,
      run: async ({ caller, input }, permit) => {
        const { token, ...issued } = await transact(db, (tx) => issueToken(tx, needs, permit, { caller, input }))
        return { ...issued, token: token.reveal(), ...(await certified(needs, input, issued)) }
      },
    }),
    route(contract.listTokens, {
      resource: async ({ params, caller }) => {
        const identity = await known(db, params.identity, caller)
        if (!(await mayKnowTokensOf(db, teams, caller, identity))) throw unknownIdentity(params.identity)
        return identityResource(db, identity)
      },
      run: ({ query }, permit) => listTokens(db, permit.resource.id, query),
    }),
    route(contract.revokeToken, {
      resource: async ({ params, caller }) => {
        const { token } = await findToken(db, teams, caller, params.token)
        return tokenResource(db, token.id)
      },
      run: (_call, permit) => transact(db, (tx) => revokeToken(tx, needs, permit)),
    }),
  ]
}
