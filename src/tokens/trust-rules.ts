import { sql } from 'kysely'
import { actOf, endTokens, findIdentity } from '../identities/identities.ts'
import { sha256 } from '../kernel/crypto.ts'
import { canonicalJson } from '../kernel/canonical-json.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { EgressFailed } from '../kernel/egress.ts'
import { invalid } from '../kernel/invalid.ts'
import { idAfter, pageAfter, type Page } from '../kernel/page.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict, nameTaken, notFound } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'
import { translating } from '../kernel/violation.ts'
import type { CreateTrustRule, Expected, TrustRule } from './contract.ts'
import { trustRuleCreated, trustRuleRetired } from './events.ts'
import { asRule, rules } from './known-rules.ts'
import type { TokenNeeds } from './needs.ts'
import { PRESET_FACTS, refuseWide } from './presets.ts'
import { svidTerms } from './svid-terms.ts'

/** What a new rule says once presets and defaults have had their say. */
type Terms = {
  readonly issuer: string
  readonly audience: string
  readonly subject: Expected
}

/** Lets what an issuer says prove the permit's identity. Throws `ruleTooWide` for what would let in more. */
export async function createTrustRule(
  tx: Tx,
  needs: TokenNeeds,
  permit: Permit<'trust-rule.create'>,
  input: CreateTrustRule,
): Promise<TrustRule> {
  const identity = await findIdentity(tx, permit.resource.id)
  if (identity.kind === 'human') throw invalid('identity', 'a rule proves a machine, workload or agent, never a person')
  if (identity.state === 'retired') {
    throw conflict('The identity is retired.', { type: 'Identity', id: identity.id, state: identity.state })
  }
  if (input.preset === 'id-jag' && identity.kind !== 'agent') throw invalid('identity', 'only agents act for people')
  const terms = termsOf(needs, input, identity.name)
  const id = newId(needs.clock, needs.random)
  const kids = input.keys?.keys.map((key) => sha256(canonicalJson(key)).toString('hex')) ?? []
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: trustRuleCreated,
    facts: {
      ruleId: id,
      name: input.name,
      preset: input.preset,
      ...terms,
      claims: input.claims,
      keysUrl: input.keysUrl ?? null,
      notifyUrl: input.notifyUrl ?? null,
      kids,
      isReviewed: input.review !== undefined,
      isBound: input.isBound,
      ttlSeconds: input.ttlSeconds,
    },
  })
  const sealedReviewer =
    input.reviewer === undefined
      ? null
      : needs.seal.seal(new Secret(input.reviewer), `trust_rule.sealed_reviewer:${id}`)
  await translating(
    {
      trust_rule_name_is_unique: () =>
        nameTaken('There is a rule of this name.', { type: 'TrustRule', name: input.name }),
    },
    () =>
      tx
        .insertInto('trustRule')
        .values({
          id,
          name: input.name,
          identityId: identity.id,
          preset: input.preset,
          issuer: terms.issuer,
          audience: terms.audience,
          subject: JSON.stringify(terms.subject),
          claims: JSON.stringify(input.claims),
          keysUrl: input.keysUrl ?? null,
          keys: input.keys === undefined ? null : JSON.stringify(input.keys),
          notifyUrl: input.notifyUrl ?? null,
          review: input.review === undefined ? null : JSON.stringify(input.review),
          sealedReviewer,
          isBound: input.isBound,
          ttlSeconds: input.ttlSeconds,
          createdBy: permit.subject.id,
          createdAt: needs.clock.now(),
          cause,
        })
        .execute(),
  )
  return findTrustRule(tx, id)
}

function termsOf(needs: TokenNeeds, input: CreateTrustRule, name: string): Terms {
  const { preset, claims, keys, keysUrl, notifyUrl, review, reviewer } = input
  const audience = input.audience ?? needs.issuer()
  if (reviewer !== undefined && review === undefined) throw invalid('reviewer', 'it needs review')
  if (review !== undefined && preset !== 'kubernetes') throw invalid('review', 'only Kubernetes reviews tokens')
  if (review !== undefined && reviewer === undefined) throw invalid('reviewer', 'review needs a token to ask with')
  if (review) askable(needs, 'review', review.url)
  if (notifyUrl !== undefined && preset !== 'client-key') throw invalid('notifyUrl', 'only clients are told of answers')
  if (notifyUrl !== undefined) askable(needs, 'notifyUrl', notifyUrl)
  if (preset === 'client-key') {
    if (!keys) throw invalid('keys', 'a client has keys of its own')
    if (input.issuer !== undefined || input.subject !== undefined || claims.length > 0 || keysUrl !== undefined) {
      throw invalid('preset', 'of a client only its keys are given')
    }
    return { issuer: name, audience, subject: { is: name } }
  }
  if (preset === 'id-jag') return idJagTerms(needs, input, name)
  if (preset === 'spiffe') {
    const terms = svidTerms(input)
    refuseWide(preset, terms.subject, claims)
    return { ...terms, audience }
  }
  const issuer = input.issuer ?? PRESET_FACTS[preset].issuer
  if (issuer === undefined) throw invalid('issuer', 'this preset has no issuer of its own')
  if (issuer === needs.issuer()) throw invalid('issuer', 'this token service trusts its own tokens by its record')
  if (input.subject === undefined) throw invalid('subject', 'say whose tokens these are')
  if (keys && keysUrl !== undefined) throw invalid('keysUrl', 'keys come from one place')
  refuseWide(preset, input.subject, claims)
  const url = keysUrl ?? (keys ? undefined : issuer)
  if (url !== undefined) askable(needs, keysUrl === undefined ? 'issuer' : 'keysUrl', url)
  return { issuer, audience, subject: input.subject }
}

/** What a provider asserts of a person to a client of theirs: the client is pinned by its name, the person by their own link to the provider. */
function idJagTerms(needs: TokenNeeds, input: CreateTrustRule, name: string): Terms {
  const { issuer, claims, keys, keysUrl } = input
  if (!needs.takesIdJag) throw invalid('preset', 'it is a draft that is not turned on (tokens.drafts)')
  if (issuer === undefined) throw invalid('issuer', 'say whose assertions these are')
  if (issuer === needs.issuer()) throw invalid('issuer', 'this token service asserts nobody to itself')
  if (input.subject !== undefined || input.audience !== undefined) {
    throw invalid('subject', 'the client is this identity, and the assertion is for this token service')
  }
  if (keys && keysUrl !== undefined) throw invalid('keysUrl', 'keys come from one place')
  refuseWide('id-jag', { is: name }, claims)
  const url = keysUrl ?? (keys ? undefined : issuer)
  if (url !== undefined) askable(needs, keysUrl === undefined ? 'issuer' : 'keysUrl', url)
  return { issuer, audience: needs.issuer(), subject: { is: name } }
}

/** What could never be asked is refused now, not at the first token. Where a name leads is looked at each time. */
function askable({ egress }: TokenNeeds, field: string, url: string): void {
  try {
    egress.check(url)
  } catch (error) {
    if (error instanceof EgressFailed) throw invalid(field, error.message)
    throw error
  }
}

/** Ends a rule, and whatever was issued under it. */
export async function retireTrustRule(
  tx: Tx,
  needs: TokenNeeds,
  permit: Permit<'trust-rule.retire'>,
  { reason }: { readonly reason: string },
): Promise<TrustRule> {
  const id = permit.resource.id
  // Whoever issues under the rule holds it until they have committed.
  await sql`select from trust_rule where id = ${id} for update`.execute(tx)
  const seen = await findTrustRule(tx, id)
  if (seen.state !== 'active') {
    throw conflict('The rule ended already.', { type: 'TrustRule', id, state: seen.state })
  }
  const now = needs.clock.now()
  const live = await tx
    .selectFrom('apiToken')
    .select('id')
    .where((is) => is.or([is('trustRuleId', '=', id), is('linkRuleId', '=', id)]))
    .where('revokedAt', 'is', null)
    .where('expiresAt', '>', now)
    .execute()
  const tokenIds = live.map((token) => token.id)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: trustRuleRetired,
    facts: { identityId: seen.identityId, tokenIds: tokenIds.slice(0, 1000), reason },
  })
  const retired = { state: 'retired', version: seen.version + 1, cause } as const
  await tx.updateTable('trustRule').set(retired).where('id', '=', id).execute()
  await endTokens(tx, tokenIds, { now, cause })
  return findTrustRule(tx, id)
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** By name or id; throws `notFound`. */
export async function findTrustRule(db: Db, nameOrId: string): Promise<TrustRule> {
  const byId = UUID.test(nameOrId) ? await rules(db).where('trustRule.id', '=', nameOrId).executeTakeFirst() : undefined
  const row = byId ?? (await rules(db).where('trustRule.name', '=', nameOrId).executeTakeFirst())
  if (!row) throw notFound('There is no such rule.', { type: 'TrustRule', id: nameOrId })
  return asRule(row)
}

export async function listTrustRules(
  db: Db,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<TrustRule>> {
  const after = idAfter(query.cursor)
  let found = rules(db)
  if (after !== undefined) found = found.where('trustRule.id', '>', after)
  const rows = await found
    .orderBy('trustRule.id')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(rows.map(asRule), query.limit, ({ id }) => id)
}

/** The token that may ask a cluster for reviews under a rule. */
export async function reviewerOf(db: Db, needs: Pick<TokenNeeds, 'seal'>, ruleId: string): Promise<Secret | undefined> {
  const row = await db.selectFrom('trustRule').select('sealedReviewer').where('id', '=', ruleId).executeTakeFirst()
  if (!row?.sealedReviewer) return undefined
  return new Secret(
    needs.seal.open(row.sealedReviewer, `trust_rule.sealed_reviewer:${ruleId}`).reveal().toString('utf8'),
  )
}
