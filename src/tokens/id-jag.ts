import type { Tx } from '../kernel/db.ts'
import { equalBytes } from '../kernel/crypto.ts'
import type { Binding } from './binding.ts'
import type { Delegated } from './delegation.ts'
import { parseDetails, type Narrowed } from './details.ts'
import { verifyForeign } from './foreign.ts'
import type { Claims } from './issuer-keys.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import type { Proven } from './proven.ts'

const SUBJECT_MAX_CHARS = 255
const MOST_RESOURCES = 20
const RESOURCE_MAX_CHARS = 500

/**
 * What a person's provider asserts to an agent of theirs (draft-ietf-oauth-identity-assertion-authz-grant-04 §5): the rule of that agent pins
 * the provider, the client that proved itself is the one it was made for, and its subject is, by a link, the person who sponsors the agent.
 * What it bounds stays bounded, and what we could not hold is refused. Throws `OAuthError`.
 */
export async function assertedBy(
  needs: TokenNeeds,
  assertion: string,
  client: Proven | undefined,
  binding: Binding | undefined,
): Promise<Delegated> {
  if (!needs.takesIdJag) throw new OAuthError('invalid_grant', 'This kind of assertion is not taken here.')
  if (!client) throw new OAuthError('invalid_client', 'A client proves itself by private_key_jwt or a TLS certificate.')
  const { identity } = client
  const foreign = await verifyForeign(needs, assertion, { kind: 'id-jag', identity: identity.id })
  const { rule, claims, jti, expiresAt, once } = foreign
  refuseUnheld(claims, binding)
  const link = await linkOf(needs, rule.issuer, claims['sub'])
  // The rule of every delegation: an agent acts for its sponsor and for nobody else.
  if (identity.kind !== 'agent' || identity.sponsorId === null || link?.identityId !== identity.sponsorId) {
    throw new OAuthError('invalid_grant', 'The assertion is of nobody for whom this client acts.')
  }
  const subject: Proven = {
    identity,
    proof: 'oidc',
    ruleId: rule.id,
    isBound: true,
    ttlSeconds: rule.ttlSeconds,
    expiresAt,
    jti,
    once: once === null ? [] : [once],
    held: null,
  }
  const asserted = {
    linkId: link.id,
    ruleId: rule.id,
    resources: resourcesIn(claims),
    details: detailsIn(claims),
    claim: (tx: Tx) => holdLink(tx, link.id),
  }
  return { acting: client, subject, onBehalfOfId: link.identityId, actorIds: [], asserted }
}

/** What would bound the token in a way that is not ours is a reason to issue none. */
function refuseUnheld(claims: Claims, binding: Binding | undefined): void {
  const { scope, act, cnf } = claims
  if (scope !== undefined && scope !== '') {
    throw new OAuthError('invalid_scope', 'There are no scopes here; the provider narrows by authorization_details.')
  }
  if (act !== undefined) throw new OAuthError('invalid_grant', 'An assertion that was handed on is not taken.')
  if (cnf === undefined) return
  const jkt = typeof cnf === 'object' && cnf !== null && 'jkt' in cnf ? cnf.jkt : undefined
  const isTheirs =
    typeof jkt === 'string' && binding?.kind === 'dpop' && equalBytes(Buffer.from(jkt, 'base64url'), binding.keySha256)
  if (!isTheirs) throw new OAuthError('invalid_grant', 'The assertion belongs to another key.')
}

async function linkOf({ db }: Pick<TokenNeeds, 'db'>, issuer: string, subject: unknown) {
  if (typeof subject !== 'string' || subject === '' || subject.length > SUBJECT_MAX_CHARS) return undefined
  return db
    .selectFrom('loginLink')
    .select(['id', 'identityId'])
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .where('state', '=', 'active')
    .executeTakeFirst()
}

async function holdLink(tx: Tx, id: string): Promise<void> {
  const held = await tx
    .selectFrom('loginLink')
    .select('id')
    .where('id', '=', id)
    .where('state', '=', 'active')
    .forShare()
    .executeTakeFirst()
  if (!held) throw new OAuthError('invalid_grant', 'The assertion is of nobody for whom this client acts.')
}

/** RFC 8707 §2: one place, or a few. */
function resourcesIn({ resource }: Claims): readonly string[] | undefined {
  if (resource === undefined) return undefined
  const list: unknown[] = Array.isArray(resource) ? resource : [resource]
  const named = list.filter(
    (each): each is string => typeof each === 'string' && each !== '' && each.length <= RESOURCE_MAX_CHARS,
  )
  if (named.length === 0 || named.length !== list.length || named.length > MOST_RESOURCES) {
    throw new OAuthError('invalid_grant', 'The assertion names places that cannot be read.')
  }
  return named
}

function detailsIn({ authorization_details: details }: Claims): Narrowed | null {
  return details === undefined ? null : parseDetails(JSON.stringify(details))
}
