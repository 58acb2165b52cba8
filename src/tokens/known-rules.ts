import type { Identity } from '../identities/contract.ts'
import type { Db } from '../kernel/db.ts'
import { Expected, Jwks, Review, TrustRule } from './contract.ts'

const COLUMNS = [
  'trustRule.id',
  'trustRule.name',
  'trustRule.identityId',
  'identity.name as identity',
  'trustRule.preset',
  'trustRule.issuer',
  'trustRule.audience',
  'trustRule.subject',
  'trustRule.claims',
  'trustRule.keysUrl',
  'trustRule.keys',
  'trustRule.notifyUrl',
  'trustRule.review',
  'trustRule.isBound',
  'trustRule.ttlSeconds',
  'trustRule.state',
  'trustRule.createdBy',
  'trustRule.createdAt',
  'trustRule.version',
] as const

/** Rules with the names of whom they prove. */
export function rules(db: Db) {
  return db.selectFrom('trustRule').innerJoin('identity', 'identity.id', 'trustRule.identityId').select(COLUMNS)
}

type Row = Awaited<ReturnType<ReturnType<typeof rules>['executeTakeFirstOrThrow']>>

/** As the API tells it. */
export function asRule(row: Row): TrustRule {
  const { shape } = TrustRule
  return {
    ...row,
    subject: Expected.parse(row.subject),
    claims: shape.claims.parse(row.claims),
    keys: Jwks.nullable().parse(row.keys),
    review: Review.nullable().parse(row.review),
  }
}

/** More rules than this for one issuer are not told apart one by one at each call. */
const MOST_RULES = 1_000

/** Who a proof is about, as its checks see it before the token is decided on; that is done by the row, which is held then. */
export type Holder = Pick<Identity, 'id' | 'kind' | 'name' | 'state' | 'sponsorId'>

/** A rule and whose it is. */
export type KnownRule = TrustRule & { readonly holder: Holder }

/** The active rules of an issuer. */
export async function rulesOf(db: Db, issuer: string): Promise<KnownRule[]> {
  const rows = await rules(db)
    .select(['identity.kind as holderKind', 'identity.state as holderState', 'identity.sponsorId'])
    .where('trustRule.issuer', '=', issuer)
    .where('trustRule.state', '=', 'active')
    .orderBy('trustRule.id')
    .limit(MOST_RULES)
    .execute()
  return rows.map(({ holderKind: kind, holderState: state, sponsorId, ...row }) => ({
    ...asRule(row),
    holder: { id: row.identityId, kind, name: row.identity, state, sponsorId },
  }))
}
