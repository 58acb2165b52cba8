import { SIGNING_ALGORITHMS } from '../kernel/signing-key.ts'
import { BACKCHANNEL_PATH } from './ciba.ts'
import { DEVICE_PATH } from './device.ts'
import { DPOP_ALGORITHMS } from './dpop.ts'
import { TOKEN_PATH } from './endpoint.ts'
import { GRANT_TYPES, ID_JAG_PROFILE } from './grants.ts'
import { INTROSPECTION_PATH, REVOCATION_PATH } from './inspect.ts'
import type { KeyRing } from './key-ring.ts'

/** RFC 6749 §3.1; what answers there is the login of people. */
export const AUTHORIZATION_PATH = '/oauth2/authorize'
/** RFC 9126 §2; the same. */
export const PUSHED_PATH = '/oauth2/par'
/** OpenID Connect RP-Initiated Logout §2; the same. */
export const END_SESSION_PATH = '/oauth2/end_session'
const JWKS_PATH = '/.well-known/jwks.json'
/** RFC 8414 §3, and what clients of OpenID Connect look for. */
const SERVER_PATHS = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'] as const
/** RFC 9728 §3. */
export const RESOURCE_PATH = '/.well-known/oauth-protected-resource'

const CLIENT_METHODS = ['private_key_jwt', 'self_signed_tls_client_auth']
/** What an assertion of a client may be signed with. */
const ASSERTION_ALGORITHMS = ['ES256', 'EdDSA', 'Ed25519', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256']
const DETAIL_TYPES = ['urn:reeve:access']

type Documents = Readonly<Record<`/.well-known/${string}`, (origin: string) => unknown>>

/** What the token service says of itself. Its name is one, by whichever name this node was reached. */
export function tokenDocuments(needs: {
  readonly issuer: () => string
  readonly ring: KeyRing
  readonly mustPush: boolean
  readonly takesIdJag: boolean
}): Documents {
  const server = () => {
    const issuer = needs.issuer()
    return {
      issuer,
      token_endpoint: `${issuer}${TOKEN_PATH}`,
      jwks_uri: `${issuer}${JWKS_PATH}`,
      introspection_endpoint: `${issuer}${INTROSPECTION_PATH}`,
      revocation_endpoint: `${issuer}${REVOCATION_PATH}`,
      authorization_endpoint: `${issuer}${AUTHORIZATION_PATH}`,
      // RFC 9126 §5.
      pushed_authorization_request_endpoint: `${issuer}${PUSHED_PATH}`,
      require_pushed_authorization_requests: needs.mustPush,
      // OpenID Connect RP-Initiated Logout §2.1.
      end_session_endpoint: `${issuer}${END_SESSION_PATH}`,
      device_authorization_endpoint: `${issuer}${DEVICE_PATH}`,
      // OpenID Connect CIBA §4.
      backchannel_authentication_endpoint: `${issuer}${BACKCHANNEL_PATH}`,
      backchannel_token_delivery_modes_supported: ['poll', 'ping'],
      backchannel_user_code_parameter_supported: false,
      response_types_supported: ['code'],
      response_modes_supported: ['query'],
      code_challenge_methods_supported: ['S256'],
      // RFC 9207 §3.
      authorization_response_iss_parameter_supported: true,
      grant_types_supported: Object.values(GRANT_TYPES),
      // draft-ietf-oauth-identity-assertion-authz-grant-04 §7.
      ...(needs.takesIdJag && { authorization_grant_profiles_supported: [ID_JAG_PROFILE] }),
      token_endpoint_auth_methods_supported: [...CLIENT_METHODS, 'none'],
      token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
      introspection_endpoint_auth_methods_supported: CLIENT_METHODS,
      introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
      revocation_endpoint_auth_methods_supported: CLIENT_METHODS,
      revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
      dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
      tls_client_certificate_bound_access_tokens: true,
      authorization_details_types_supported: DETAIL_TYPES,
    }
  }
  const resource = () => {
    const issuer = needs.issuer()
    return {
      resource: issuer,
      authorization_servers: [issuer],
      jwks_uri: `${issuer}${JWKS_PATH}`,
      bearer_methods_supported: ['header'],
      resource_signing_alg_values_supported: SIGNING_ALGORITHMS,
      dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
      tls_client_certificate_bound_access_tokens: true,
      authorization_details_types_supported: DETAIL_TYPES,
    }
  }
  return {
    ...Object.fromEntries(SERVER_PATHS.map((path) => [path, server])),
    [RESOURCE_PATH]: resource,
    [JWKS_PATH]: () => needs.ring.published(),
  }
}
