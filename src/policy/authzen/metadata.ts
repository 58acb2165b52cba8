import { evaluateDecision, evaluateDecisions, searchActions, searchResources, searchSubjects } from '../contract.ts'
import { SUPPORTED_OBLIGATIONS } from './answer.ts'

/** Where what was denied is asked for (Access Request and Approval Profile, draft of June 2026). */
const ACCESS_REQUEST_PATH = '/access/v1/requests'
const ACCESS_REQUEST = 'urn:openid:authzen:capability:access-request'

/** Where the document stands (§9.2; RFC 8615). */
export const METADATA_PATH = '/.well-known/authzen-configuration'

/** The decision point as its callers reach it (§9.1). `origin` is the scheme and authority that the document was asked at. */
export function metadataOf(origin: string, { drafts }: { readonly drafts: boolean }) {
  return {
    policy_decision_point: origin,
    access_evaluation_endpoint: `${origin}${evaluateDecision.path}`,
    access_evaluations_endpoint: `${origin}${evaluateDecisions.path}`,
    search_subject_endpoint: `${origin}${searchSubjects.path}`,
    search_resource_endpoint: `${origin}${searchResources.path}`,
    search_action_endpoint: `${origin}${searchActions.path}`,
    ...(drafts && {
      access_request_endpoint: `${origin}${ACCESS_REQUEST_PATH}`,
      capabilities: [ACCESS_REQUEST],
      supported_obligations: SUPPORTED_OBLIGATIONS,
    }),
  }
}
