import type { Db } from '../../kernel/db.ts'
import { route, type Route } from '../../kernel/http/route.ts'
import type { AccessRequest } from '../contract.ts'
import { loadGrant, loadRequest } from '../read.ts'
import { requestResource } from '../resources.ts'
import * as contract from './contract.ts'
import { findDenied, submit, type DenialNeeds } from './submit.ts'

/** The operations on denials with what they do. */
export function denialRoutes(needs: DenialNeeds): Route[] {
  const { db } = needs
  return [
    route(contract.submitDenial, {
      resource: async ({ caller, input }) => (await findDenied(needs, caller, input)).account,
      run: async ({ caller, input }) => taskOf(needs, await submit(needs, caller, input)),
    }),
    route(contract.readTask, {
      resource: async ({ params }) => {
        await found(db, params.request)
        return requestResource(db, params.request)
      },
      run: async ({ params }) => taskOf(needs, await found(db, params.request)),
    }),
  ]
}

async function found(db: Db, id: string): Promise<AccessRequest> {
  const request = await loadRequest(db, id)
  if (!request) throw contract.unknownTask('There is no such request.', {})
  return request
}

const STATUS = {
  pending: 'pending',
  granted: 'approved',
  denied: 'denied',
  expired: 'expired',
  withdrawn: 'cancelled',
  void: 'failed',
} as const

const TITLE: Readonly<Record<AccessRequest['state'], string>> = {
  pending: 'The request waits for its approvers.',
  granted: 'Access is granted: take a ticket or a key for the grant, and connect through a gateway.',
  denied: 'The request was denied.',
  expired: 'Nobody decided on the request in time.',
  withdrawn: 'The request was taken back.',
  void: 'What would be granted changed, so the request fell.',
}

/** The request in the profile's words. What re-evaluation would need is not given: the grant is what counts, at the gateways. */
async function taskOf({ db, origin }: DenialNeeds, request: AccessRequest): Promise<contract.Task> {
  const grant = request.grantId === null ? undefined : await loadGrant(db, request.grantId)
  return {
    task: {
      id: request.id,
      status: STATUS[request.state],
      status_endpoint: `${origin()}${contract.submitDenial.path}/${request.id}`,
      expires_at: request.expiresAt,
      display: { title: TITLE[request.state], description: request.refusal },
    },
    ...(grant && {
      result: {
        mode: 'urn:reeve:mode:grant',
        grant: { id: grant.id, expires_at: grant.expiresAt, ended_at: grant.endedAt },
      },
    }),
  }
}
