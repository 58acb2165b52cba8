/** RFC 6749 §5.2 with its extensions; of what is pushed also those of its §4.1.2.1 (RFC 9126 §2.3); `invalid_dpop_proof` RFC 9449 §5, `invalid_target` RFC 8707 §2, the details RFC 9396 §5, of waiting RFC 8628 §3.5, of asking CIBA §13. */
type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'invalid_dpop_proof'
  | 'invalid_authorization_details'
  | 'unsupported_token_type'
  | 'temporarily_unavailable'
  | 'authorization_pending'
  | 'slow_down'
  | 'access_denied'
  | 'expired_token'
  | 'unknown_user_id'
  | 'invalid_binding_message'
  | 'unsupported_response_type'
  | 'request_not_supported'

/** What a client of the token service can act on. The description is ours and quotes nothing that was sent. */
export class OAuthError extends Error {
  override readonly name = 'OAuthError'
  readonly code: OAuthErrorCode

  constructor(code: OAuthErrorCode, description: string, options?: ErrorOptions) {
    super(description, options)
    this.code = code
  }
}
