/** RFC 6749 §4.4 and §4.1.3, RFC 7523 §2.1, RFC 8693 §2.1, RFC 8628 §3.4, OpenID Connect CIBA §10.1. */
export const GRANT_TYPES = {
  client: 'client_credentials',
  bearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
  code: 'authorization_code',
  device: 'urn:ietf:params:oauth:grant-type:device_code',
  backchannel: 'urn:openid:params:grant-type:ciba',
} as const
/** RFC 7523 §2.2. */
export const CLIENT_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
/** RFC 8693 §3. */
export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'
export const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'
export const ID_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:id_token'
/** draft-ietf-oauth-identity-assertion-authz-grant-04 §3, §7. */
export const ID_JAG_TYP = 'oauth-id-jag+jwt'
export const ID_JAG_PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag'
