import { sha256, readPublicKey } from '../kernel/crypto.ts'
import { transact, type Db } from '../kernel/db.ts'
import { installation, route, type Caller, type Resource, type Route } from '../kernel/http/route.ts'
import { notFound } from '../kernel/problem.ts'
import { accountResource, loadAccount, loadTargetByName } from '../catalog/catalog.ts'
import { identityResource } from '../identities/identities.ts'
import { holdAct } from '../tokens/tokens.ts'
import { approveRequest, denyRequest, withdrawRequest } from './approve.ts'
import { riskOfPending } from './as-asked.ts'
import { knownIdentity } from './chain.ts'
import * as contract from './contract.ts'
import { finishGrant, over, revokeGrant } from './end.ts'
import type { Ends } from './ends.ts'
import { beatGrant } from './grant.ts'
import { frictionRoutes } from './friction/routes.ts'
import { holdRoutes } from './holds/routes.ts'
import type { AccessNeeds, Outcome } from './needs.ts'
import { listGrants, listRequests, loadGrant, loadRequestDetail } from './read.ts'
import { checkTicket, innerOfAccess, previewAccess, requestAccess } from './request.ts'
import { grantResource, requestResource } from './resources.ts'
import type { TicketVerifier } from './ticket-verifier.ts'
import { issueKey, issueTicket } from './ticket.ts'

/** Signs a certificate for a public key under the installation's own authority. */
type Certify = (asked: {
  readonly spki: Buffer
  readonly subjectName: string
  readonly grantId: string
  readonly expiresAt: Date
}) => Promise<{ readonly certificate: string; readonly authority: string }>

export type AccessRouteNeeds = AccessNeeds & {
  readonly db: Db
  readonly ends: Pick<Ends, 'announceEnd'>
  readonly certify: Certify
  readonly tickets: TicketVerifier
}

/** The operations of this folder with what they do. */
export function accessRoutes(needs: AccessRouteNeeds): Route[] {
  return [
    ...requestRoutes(needs),
    ...decisionRoutes(needs),
    ...grantRoutes(needs),
    ...proofRoutes(needs),
    ...holdRoutes(needs),
    ...frictionRoutes(needs),
  ]
}

function requestRoutes(needs: AccessRouteNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.requestAccess, {
      resource: ({ input }) => accountNamed(db, input),
      context: async ({ input }) => ({ reasonGiven: input.reason !== undefined }),
      inner: async ({ caller, input }) => {
        const { id } = await accountNamed(db, input)
        const ticketCheck = await checkTicket(db, needs, id, { caller, input })
        return innerOfAccess(db, needs, id, { caller, input, ticketCheck })
      },
      run: async ({ caller, input, stepUp }, permit) => {
        const ticketCheck = await checkTicket(db, needs, permit.resource.id, { caller, input })
        const making = { caller, input, ticketCheck, stepUp }
        return settled(await transact(db, (tx) => requestAccess(tx, needs, permit, making)))
      },
    }),
    route(contract.previewAccess, {
      resource: ({ input }) => accountNamed(db, input),
      run: async ({ caller, input }, permit) => {
        const ticketCheck = await checkTicket(db, needs, permit.resource.id, { caller, input })
        return previewAccess(db, needs, permit, { caller, input, ticketCheck })
      },
    }),
    route(contract.listRequests, {
      resource: ({ caller, query }) => collection(db, caller, query.view === 'mine'),
      run: ({ caller, query }) => listRequests(db, { teams: needs.teams, now: needs.clock.now() }, caller, query),
    }),
    route(contract.readRequest, {
      resource: ({ params }) => requestResource(db, params.request),
      run: async ({ params }) => {
        const detail = await loadRequestDetail(db, needs.teams, params.request)
        if (!detail) throw notFound('There is no such request.', { type: 'AccessRequest', id: params.request })
        return { ...detail, risk: await riskOfPending(db, needs, params.request) }
      },
    }),
  ]
}

function decisionRoutes(needs: AccessRouteNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.approveRequest, {
      resource: ({ params }) => requestResource(db, params.request),
      preview: ({ params }) => saidOfRequest(db, needs.teams, params.request),
      run: async ({ input }, permit) => settled(await transact(db, (tx) => approveRequest(tx, needs, permit, input))),
    }),
    route(contract.denyRequest, {
      resource: ({ params }) => requestResource(db, params.request),
      run: ({ input }, permit) => transact(db, (tx) => denyRequest(tx, needs, permit, input)),
    }),
    route(contract.withdrawRequest, {
      resource: ({ params }) => requestResource(db, params.request),
      run: (_call, permit) => transact(db, (tx) => withdrawRequest(tx, needs, permit)),
    }),
  ]
}

function grantRoutes(needs: AccessRouteNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.listGrants, {
      resource: ({ caller, query }) => collection(db, caller, query.view === 'mine'),
      run: ({ caller, query }) => listGrants(db, needs.clock.now(), caller, query),
    }),
    route(contract.readGrant, {
      resource: (call) => grantOf(db, call),
      run: ({ params }) => grantNamed(db, params.grant),
    }),
    route(contract.revokeGrant, {
      resource: ({ params }) => grantResource(db, params.grant),
      context: async () => ({ reasonGiven: true }),
      run: async ({ input }, permit) =>
        announced(needs, await transact(db, (tx) => revokeGrant(tx, needs, permit, input))),
    }),
    route(contract.finishGrant, {
      resource: (call) => grantOf(db, call),
      run: async (_call, permit) => announced(needs, await transact(db, (tx) => finishGrant(tx, needs, permit))),
    }),
    route(contract.beatGrant, {
      resource: (call) => grantOf(db, call),
      run: (_call, permit) => transact(db, (tx) => beatGrant(tx, needs, permit)),
    }),
  ]
}

/** What somebody who decides on a request is shown of it. */
async function saidOfRequest(db: Db, teams: AccessNeeds['teams'], id: string): Promise<string[]> {
  const request = await loadRequestDetail(db, teams, id)
  if (!request) return []
  const { subject, onBehalfOf, account, target, actions, purpose, reason, ticket, ttlSeconds, boundSha256 } = request
  return [
    `${subject}${onBehalfOf === null ? '' : ` for ${onBehalfOf}`} asks for ${actions.join(', ')} on ${account}@${target}`,
    `for ${ttlSeconds} s, for the purpose ${purpose}${ticket === null ? '' : `, ticket ${ticket}`}`,
    ...(reason === null ? [] : [`because: ${reason}`]),
    `what is granted has the hash ${boundSha256}`,
  ]
}

function proofRoutes(needs: AccessRouteNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.issueTicket, {
      resource: (call) => grantOf(db, call),
      run: async ({ caller: { proof }, input }, permit) => {
        const issuing = { ...input, proof }
        const { ticket, ...issued } = await transact(db, (tx) => issueTicket(tx, needs, permit, issuing))
        return { ...issued, ticket: ticket.reveal() }
      },
    }),
    route(contract.issueKey, {
      resource: (call) => grantOf(db, call),
      run: async ({ caller: { proof }, params, input }, permit) => {
        const key = readPublicKey(input.publicKey)
        if (!key || key.algorithm === 'other') {
          throw contract.keyUnsuitable('Send a P-256 or Ed25519 public key as PEM (-----BEGIN PUBLIC KEY-----).', {})
        }
        const grant = await grantNamed(db, params.grant)
        if (grant.endedAt || grant.expiresAt <= needs.clock.now()) throw over(grant)
        // Signed outside the transaction; worth nothing before the proof's row is committed.
        const { certificate, authority } = await needs.certify({
          spki: key.spki,
          subjectName: grant.subject,
          grantId: grant.id,
          expiresAt: grant.expiresAt,
        })
        const spkiSha256 = sha256(key.spki)
        const { isSingleUse } = input
        const issued = await transact(db, (tx) => issueKey(tx, needs, permit, { proof, spkiSha256, isSingleUse }))
        return { ...issued, certificate, authority }
      },
    }),
  ]
}

async function accountNamed(db: Db, named: { readonly target: string; readonly account: string }): Promise<Resource> {
  const target = await loadTargetByName(db, named.target)
  const account = target && (await loadAccount(db, target.id, named.account))
  if (!target || !account) {
    throw notFound('There is no such account.', { type: 'Account', id: `${named.account}@${named.target}` })
  }
  return accountResource(account, target)
}

/** A list of one's own is decided on oneself, so that machines see theirs too. */
async function collection(db: Db, caller: Caller, isOwn: boolean): Promise<Resource> {
  return isOwn ? identityResource(db, await knownIdentity(db, caller.id)) : installation()
}

/** A grant, to a caller whose token is good for what it grants. */
async function grantOf(
  db: Db,
  { caller, params }: { readonly caller: Caller; readonly params: { readonly grant: string } },
): Promise<Resource> {
  if (caller.narrowedTo) holdAct(caller, 'grant.read', await grantNamed(db, params.grant))
  return grantResource(db, params.grant)
}

async function grantNamed(db: Db, id: string): Promise<contract.Grant> {
  const grant = await loadGrant(db, id)
  if (!grant) throw notFound('There is no such grant.', { type: 'Grant', id })
  return grant
}

function settled<T>(outcome: Outcome<T>): T {
  if (outcome.kind === 'refused') throw outcome.problem
  return outcome.value
}

/** The end is committed: cut on this node without waiting to hear of it. */
function announced(needs: AccessRouteNeeds, grant: contract.Grant): contract.Grant {
  const { id, endReason: reason, endedAt, endComment: comment } = grant
  if (endedAt && reason) needs.ends.announceEnd({ id, reason, endedAt, comment })
  return grant
}
