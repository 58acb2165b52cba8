import { sql } from 'kysely'
import { claimFoundAccounts } from '../../catalog/catalog.ts'
import type { Identity } from '../../identities/contract.ts'
import { actOf, endIdentity, enterDiscovered, lockIdentity, type IdentityNeeds } from '../../identities/identities.ts'
import { coverageOf, keepAdoptions, loadSource, lockAdoption, lockResolution } from '../../inventory/inventory.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { evaluateOwners } from '../owners/evaluate.ts'
import { evaluateServices } from '../owners/services.ts'
import { ADOPTED_MAX, type Adopted, type Adoption, type AdoptPrincipals } from './contract.ts'
import { LEFT } from './filter.ts'
import { principalsAdopted, principalUnadopted } from './events.ts'
import { giveBack } from './give-back.ts'
import { draftOf, findThings, IS_ANOTHER, isMeant, judgeThings, type Judged, type Leaving } from './found.ts'

type Needs = IdentityNeeds
const EXAMPLES = 3
/** Behind every source that tells the same thing. */
const LAST_SOURCE = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/** Carries the answer of a dry run out of the transaction that it takes back. */
class TakenBack extends Error {
  readonly answer: Adoption

  constructor(answer: Adoption) {
    super('a dry run is taken back')
    this.answer = answer
  }
}

/** Adopts what nobody claims. A dry run does all of it and takes it back, so what it says is what would come of it. */
export async function adoptPrincipals(
  db: Db,
  needs: Needs,
  permit: Permit<'inventory.adopt'>,
  input: AdoptPrincipals,
): Promise<Adoption> {
  try {
    return await transact(db, async (tx) => {
      const answer = await adopt(tx, needs, permit, input)
      if (input.dryRun) throw new TakenBack(answer)
      return answer
    })
  } catch (error) {
    if (!(error instanceof TakenBack)) throw error
    const { items, ...rest } = error.answer
    return { ...rest, items: items.map((item) => ({ ...item, identityId: null })) }
  }
}

async function adopt(
  tx: Tx,
  needs: Needs,
  permit: Permit<'inventory.adopt'>,
  input: AdoptPrincipals,
): Promise<Adoption> {
  await lockResolution(tx)
  const of = input.source === undefined ? undefined : await loadSource(tx, input.source)
  if (input.principals) await mustBeNobodys(tx, input.principals)
  const after = input.after === undefined ? undefined : { thingId: input.after, sourceId: LAST_SOURCE }
  const things = await findThings(tx, { ...input, sourceId: of?.id, after }, ADOPTED_MAX)
  const every = await judgeThings(tx, needs.clock, things)
  const judged = every.filter((each) => isMeant(each, input))
  const drafts = judged.map((each) => ({ each, draft: draftOf(each, input) }))
  const taken = drafts.flatMap(({ each, draft }) => ('name' in draft ? [{ each, draft }] : []))
  const left = drafts.flatMap(({ draft }) => ('why' in draft ? [draft] : []))
  const entered = await enterDiscovered(
    tx,
    needs,
    permit,
    taken.map(({ draft }) => draft),
  )
  const pairs = taken.map(({ each, draft }, at) => {
    const identity = entered[at]
    if (!identity) throw new Error('everything that is entered is answered')
    return { each, draft, identity }
  })
  const claimed = await claimFoundAccounts(
    tx,
    pairs.map(({ each, identity: { id: identityId, cause } }) => ({
      accountIds: each.thing.accountIds,
      identityId,
      cause,
    })),
  )
  await keepAdoptions(
    tx,
    needs,
    pairs.map(({ each: { thing }, draft: { evidence }, identity: { id: identityId, cause } }) => ({
      thingId: thing.thingId,
      sourceId: thing.sourceId,
      identityId,
      evidence,
      accountIds: claimed.get(identityId) ?? [],
      cause,
    })),
  )
  const items = pairs.map(({ each, draft: { evidence }, identity }) =>
    adoptedOf(each, identity, { evidence, accounts: claimed.get(identity.id)?.length ?? 0 }),
  )
  const coverage = await coverageOf(tx, needs.clock, of?.id)
  const unseen = coverage.unseen.length + coverage.more
  if (items.length > 0) {
    const facts = { count: items.length, left: left.length, unseen }
    await needs.ledger.record(tx, { ...actOf(permit), event: principalsAdopted, facts })
  }
  const isFull = input.every === true && things.length === ADOPTED_MAX
  return {
    isDryRun: input.dryRun,
    items: await withProposals(tx, needs, items),
    left: countedLeft(left),
    unmatched: every.length - judged.length,
    next: isFull ? (things.at(-1)?.thingId ?? null) : null,
    unseen,
    coverage,
  }
}

function adoptedOf(
  { thing, class: judged }: Judged,
  identity: Identity,
  { evidence, accounts }: { readonly evidence: readonly string[]; readonly accounts: number },
): Adopted {
  const { kind, profile, tier, environment } = identity
  return {
    thingId: thing.thingId,
    principal: thing.principal,
    source: thing.source,
    instances: thing.instances,
    accounts,
    identityId: identity.id,
    identity: identity.name,
    kind,
    profile,
    tier,
    environment,
    traits: [...judged.traits],
    owner: null,
    businessService: null,
    evidence: [...evidence],
    unknown: [...judged.unknown],
  }
}

/** Whom and what evidence names first, of what is in the record now. */
async function withProposals(tx: Tx, needs: Needs, items: readonly Adopted[]): Promise<Adopted[]> {
  const ids = items.flatMap(({ identityId }) => identityId ?? [])
  if (ids.length === 0) return []
  await evaluateOwners(tx, needs, ids)
  await evaluateServices(tx, needs, ids)
  const owners = await tx
    .selectFrom('ownerCandidate as c')
    .innerJoin('identity as o', 'o.id', 'c.ownerId')
    .select(['c.identityId', 'o.name as owner', 'c.score'])
    .where('c.identityId', 'in', ids)
    .orderBy('c.score', 'desc')
    .orderBy('c.ownerId')
    .execute()
  const services = await tx
    .selectFrom('serviceCandidate')
    .select(['identityId', 'service', 'score'])
    .where('identityId', 'in', ids)
    .orderBy('score', 'desc')
    .orderBy('service')
    .execute()
  return items.map((item) => {
    const owner = owners.find(({ identityId }) => identityId === item.identityId)
    const service = services.find(({ identityId }) => identityId === item.identityId)
    return {
      ...item,
      owner: owner ? { owner: owner.owner, score: owner.score } : null,
      businessService: service ? { service: service.service, score: service.score } : null,
    }
  })
}

function countedLeft(left: readonly Leaving[]): Adoption['left'] {
  const by = Map.groupBy(left, ({ why }) => why)
  return [...by].map(([why, of]) => ({
    why,
    words: LEFT[why],
    count: of.length,
    examples: of.slice(0, EXAMPLES).map(({ principal }) => principal),
  }))
}

/** What was named by its id and is not there, acts not by itself, or is somebody already, is said and not passed over. */
async function mustBeNobodys(tx: Tx, principals: readonly string[]): Promise<void> {
  const rows = await tx
    .selectFrom('observedPrincipal as p')
    .leftJoin('recordLink as l', (on) => on.onRef('l.observedId', '=', 'p.id').on('l.state', '=', 'active'))
    .leftJoin('account as a', (on) => on.onRef('a.id', '=', 'p.accountId').on(sql<boolean>`not ${IS_ANOTHER}`))
    .innerJoin('sourceScope as c', 'c.id', 'p.scopeId')
    .leftJoin('adoption as d', (on) =>
      on
        .on('d.thingId', '=', sql`coalesce(p.instance_of_id, p.id)`)
        .onRef('d.sourceId', '=', 'c.sourceId')
        .on('d.state', '=', 'active'),
    )
    .select(['p.id', 'p.type', 'p.goneAt', 'l.identityId as linked', 'a.identityId as claimed'])
    .select('d.identityId as adopted')
    .where('p.id', 'in', principals)
    .execute()
  for (const id of principals) {
    const row = rows.find((each) => each.id === id)
    if (!row) throw notFound('There is no such principal.', { type: 'InventoryItem', id })
    const identityId = row.linked ?? row.claimed ?? row.adopted
    if (identityId !== null)
      throw conflict('It is an identity of the record already.', {
        type: 'InventoryItem',
        id,
        state: `identity ${identityId}`,
      })
    const state = row.goneAt ? 'gone' : row.type
    if (row.goneAt || row.type === 'group' || row.type === 'role')
      throw conflict('It is nothing that acts.', { type: 'InventoryItem', id, state })
  }
}

/** The way back, while the identity never acted: what was claimed and linked with it is nobody's again, and it ends. */
export async function unadoptPrincipal(
  tx: Tx,
  needs: Needs,
  permit: Permit<'inventory.unadopt'>,
  { reason }: { readonly reason: string },
): Promise<Identity> {
  await lockResolution(tx)
  const identity = await lockIdentity(tx, permit.resource.id)
  const refused = (detail: string) => conflict(detail, { type: 'Identity', id: identity.id, state: identity.state })
  const adoption = await lockAdoption(tx, identity.id)
  if (!adoption) throw refused('It was made by no adoption, or that was taken back.')
  if (identity.state !== 'discovered' && identity.state !== 'registered')
    throw refused('It acts by now: retire it instead.')
  const { thingId, accountIds } = adoption
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: principalUnadopted,
    subjectId: identity.id,
    facts: { thingId, accountIds: [...accountIds], reason },
  })
  await giveBack(tx, needs, cause, [{ identityId: identity.id, accountIds }])
  return endIdentity(tx, needs, actOf(permit), { seen: identity, reason })
}
