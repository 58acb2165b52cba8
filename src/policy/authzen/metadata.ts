import { evaluateDecision, evaluateDecisions, searchActions, searchResources, searchSubjects } from '../contract.ts'
import { SUPPORTED_OBLIGATIONS } from './answer.ts'

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
    ...(drafts && { supported_obligations: SUPPORTED_OBLIGATIONS }),
  }
}
