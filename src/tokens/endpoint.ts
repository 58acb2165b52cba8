import type { FormAnswer, FormAsked, FormDoor } from '../kernel/http/form.ts'
import { answering } from './answering.ts'
import { bindingOf, type Binding } from './binding.ts'
import { backchannelIssuing } from './ciba.ts'
import { redeemCode } from './code.ts'
import { delegated, type Delegated } from './delegation.ts'
import { narrowedFurther, parseDetails } from './details.ts'
import { redeemDevice } from './device.ts'
import { ACCESS_TOKEN_TYPE, GRANT_TYPES, ID_TOKEN_TYPE, JWT_TYPE } from './grants.ts'
import { isIdJag } from './foreign.ts'
import { assertedBy } from './id-jag.ts'
import { openIssuing, type AccessToken } from './issue.ts'
import type { Issuing } from './issuing.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { publicClientOf } from './public-client.ts'
import { clientOf, provenByForeign, provenByOwn, type Proven } from './proven.ts'

export const TOKEN_PATH = '/oauth2/token'

/** The token endpoint (RFC 6749 §3.2): whoever proves an identity gets a short token of it, bound to the key they came with. */
export function tokenDoor(needs: TokenNeeds): FormDoor {
  const issue = openIssuing(needs)
  return {
    path: TOKEN_PATH,
    repeatable: ['resource', 'audience'],
    answer: (asked) => answering(needs, asked, () => tokenAnswer(needs, asked, issue)),
  }
}

async function tokenAnswer(
  needs: TokenNeeds,
  asked: FormAsked,
  issue: ReturnType<typeof openIssuing>,
): Promise<FormAnswer> {
  const { fields } = asked
  const grantType = fields.get('grant_type')
  if (grantType === undefined) throw new OAuthError('invalid_request', 'grant_type is missing.')
  if (fields.has('scope'))
    throw new OAuthError('invalid_scope', 'There are no scopes; narrow by authorization_details.')
  refuseForeignParameters(grantType, asked)
  if (grantType === GRANT_TYPES.code || grantType === GRANT_TYPES.device) {
    const issuing = await loginIssuing(needs, asked, grantType)
    return answerOf(await issue(issuing), issuing, false)
  }
  const binding = await bindingOf(needs, asked, TOKEN_PATH)
  if (grantType === GRANT_TYPES.backchannel) {
    const issuing = await backchannelIssuing(needs, asked, binding)
    return answerOf(await issue(issuing), issuing, false)
  }
  const { issuing, isExchange } = await issuingOf(needs, asked, grantType, binding)
  return answerOf(await issue(issuing), issuing, isExchange)
}

/** What belongs to another grant is a confusion, of the client or of us. */
const OF_GRANT: Readonly<Record<string, readonly string[]>> = {
  [GRANT_TYPES.client]: [],
  [GRANT_TYPES.bearer]: ['assertion'],
  [GRANT_TYPES.exchange]: [
    'subject_token',
    'subject_token_type',
    'actor_token',
    'actor_token_type',
    'requested_token_type',
  ],
  [GRANT_TYPES.code]: ['code', 'redirect_uri', 'code_verifier'],
  [GRANT_TYPES.device]: ['device_code'],
  [GRANT_TYPES.backchannel]: ['auth_req_id'],
}

function refuseForeignParameters(grantType: string, { fields }: FormAsked): void {
  const own = OF_GRANT[grantType]
  if (!own) throw new OAuthError('unsupported_grant_type', 'This grant type is not offered.')
  const others = Object.values(OF_GRANT).flat()
  if (others.some((name) => fields.has(name) && !own.includes(name))) {
    throw new OAuthError('invalid_request', 'A parameter belongs to another grant type.')
  }
}

/** For the login of a person, by what a public client shows of it. */
async function loginIssuing(needs: TokenNeeds, asked: FormAsked, grantType: string): Promise<Issuing> {
  const { client, binding } = await publicClientOf(needs, asked, TOKEN_PATH)
  const redeem = grantType === GRANT_TYPES.code ? redeemCode : redeemDevice
  const { session, claim } = await redeem(needs, asked, { clientId: client.id, binding })
  const details = asked.fields.get('authorization_details')
  const leftSeconds = Math.floor((session.expiresAt.getTime() - needs.clock.now().getTime()) / 1000)
  return {
    grantType,
    identity: session.identity,
    onBehalfOfId: null,
    actorIds: [],
    parentId: null,
    ruleId: null,
    ruleIds: [],
    proof: session.proof,
    binding,
    isBound: true,
    ttlSeconds: leftSeconds,
    notAfter: [session.expiresAt],
    details: details === undefined ? null : parseDetails(details),
    audience: audienceOf(needs, asked),
    once: binding.kind === 'dpop' ? [binding.once] : [],
    jti: null,
    session,
    claim,
  }
}

async function issuingOf(
  needs: TokenNeeds,
  asked: FormAsked,
  grantType: string,
  binding: Binding | undefined,
): Promise<{ issuing: Issuing; isExchange: boolean }> {
  const client = await clientOf(needs, asked)
  const who = await delegatedBy(needs, asked, { grantType, client, binding })
  const { acting, subject, asserted } = who
  const details = asked.fields.get('authorization_details')
  const all = [...new Set([acting, subject, ...(client ? [client] : [])])]
  const audience = audienceOf(needs, asked, asserted?.resources)
  const narrowed = asserted ? asserted.details : (subject.held?.narrowedTo ?? null)
  return {
    isExchange: grantType === GRANT_TYPES.exchange,
    issuing: {
      grantType,
      identity: acting.identity,
      onBehalfOfId: who.onBehalfOfId,
      actorIds: who.actorIds,
      parentId: subject.held?.id ?? null,
      ruleId: acting.ruleId,
      ruleIds: [...new Set(all.flatMap(({ ruleId }) => (ruleId === null ? [] : [ruleId])))],
      proof: proofOf(acting, binding),
      binding,
      isBound: all.some(({ isBound }) => isBound),
      ttlSeconds: Math.min(...all.map(({ ttlSeconds }) => ttlSeconds)),
      // An assertion is for one request; a token that is exchanged bounds what comes of it.
      notAfter:
        grantType === GRANT_TYPES.exchange
          ? all.flatMap(({ expiresAt }) => (expiresAt === null ? [] : [expiresAt]))
          : [],
      details: narrowedFurther(
        narrowedFurther(narrowed, acting.held?.narrowedTo ?? null),
        details === undefined ? null : parseDetails(details),
      ),
      audience,
      once: [...all.flatMap(({ once }) => once), ...(binding?.kind === 'dpop' ? [binding.once] : [])],
      jti: subject.jti,
      session: null,
      asserted,
      ...(asserted && { claim: asserted.claim }),
    },
  }
}

type Shown = { readonly grantType: string; readonly client: Proven | undefined; readonly binding: Binding | undefined }

async function delegatedBy(needs: TokenNeeds, asked: FormAsked, shown: Shown): Promise<Delegated> {
  const { client, grantType, binding } = shown
  const { fields } = asked
  if (grantType === GRANT_TYPES.client) {
    if (!client)
      throw new OAuthError('invalid_client', 'A client proves itself by private_key_jwt or a TLS certificate.')
    return delegated({ subject: client, actor: undefined })
  }
  if (grantType === GRANT_TYPES.bearer) {
    const assertion = required(fields, 'assertion')
    if (isIdJag(assertion)) return assertedBy(needs, assertion, client, binding)
    const subject = await provenByForeign(needs, assertion, fields.get('client_id'))
    if (client && client.identity.id !== subject.identity.id) {
      throw new OAuthError('invalid_grant', 'The assertion proves another identity than the client.')
    }
    return delegated({ subject, actor: undefined })
  }
  const wanted = fields.get('requested_token_type')
  if (wanted !== undefined && wanted !== ACCESS_TOKEN_TYPE && wanted !== JWT_TYPE) {
    throw new OAuthError('invalid_request', 'Only access tokens are issued.')
  }
  const actorToken = fields.get('actor_token')
  if ((actorToken === undefined) !== (fields.get('actor_token_type') === undefined)) {
    throw new OAuthError('invalid_request', 'actor_token and actor_token_type come together.')
  }
  const prove = (name: 'subject' | 'actor') => {
    const token = required(fields, `${name}_token`)
    const type = required(fields, `${name}_token_type`)
    if (type === ACCESS_TOKEN_TYPE) return provenByOwn(needs, token, binding, asked)
    if (type !== JWT_TYPE && type !== ID_TOKEN_TYPE) {
      throw new OAuthError('invalid_request', 'This type of token is not taken.')
    }
    return provenByForeign(needs, token, client || actorToken !== undefined ? undefined : fields.get('client_id'))
  }
  const subject = await prove('subject')
  const actor = actorToken === undefined ? undefined : await prove('actor')
  if (client && actor && client.identity.id !== actor.identity.id) {
    throw new OAuthError('invalid_request', 'The actor token proves another identity than the client.')
  }
  return delegated({ subject, actor: actor ?? client })
}

function required(fields: FormAsked['fields'], name: string): string {
  const value = fields.get(name)
  if (value === undefined) throw new OAuthError('invalid_request', `${name} is missing.`)
  return value
}

/** No exchange makes a proof stronger than what was shown, and what is bound to nothing is a bearer's. */
function proofOf({ proof }: Proven, binding: Binding | undefined): Issuing['proof'] {
  if (!binding || proof === 'token') return 'token'
  return proof === 'oidc' || proof === 'kubernetes' || proof === 'spiffe' ? proof : binding.kind
}

/**
 * RFC 8707 §2, and `audience` of RFC 8693: this API by default, or one other place that was configured; null is this API. What was shown may
 * be good for certain places only, and is for the one that it names.
 */
function audienceOf(needs: TokenNeeds, { lists }: FormAsked, bounds?: readonly string[]): string | null {
  const asked = [...new Set([...(lists.get('resource') ?? []), ...(lists.get('audience') ?? [])])]
  const named = asked.length === 0 ? (bounds ?? []) : asked
  const [only] = named
  if (only === undefined) return null
  if (named.length > 1) throw new OAuthError('invalid_target', 'A token is for one place.')
  const issuer = needs.issuer()
  const isOurs = (place: string) => place === issuer || place === `${issuer}/`
  if (bounds && !bounds.some((each) => each === only || (isOurs(each) && isOurs(only)))) {
    throw new OAuthError('invalid_target', 'What was shown is not good for this place.')
  }
  if (isOurs(only)) return null
  if (needs.resources.includes(only)) return only
  throw new OAuthError('invalid_target', 'Tokens for this place are not issued here.')
}

function answerOf(issued: AccessToken, issuing: Issuing, isExchange: boolean): FormAnswer {
  return {
    status: 200,
    body: {
      access_token: issued.token,
      token_type: issued.isDpop ? 'DPoP' : 'Bearer',
      expires_in: issued.ttlSeconds,
      ...(isExchange && { issued_token_type: ACCESS_TOKEN_TYPE }),
      ...(issuing.details && { authorization_details: issuing.details }),
    },
  }
}
