import {
  accountResource,
  findPurpose,
  purposeResource,
  targetResource,
  type AccountFacts,
  type TargetFacts,
} from '../../catalog/catalog.ts'
import {
  entitiesOfIdentity,
  ENTITY_TYPES,
  findIdentity,
  identityResource,
  type Proof,
  type Teams,
} from '../../identities/identities.ts'
import type { Db } from '../../kernel/db.ts'
import type { Resource } from '../../kernel/http/route.ts'
import type { EntityRef } from '../../kernel/permit.ts'
import { notFound } from '../../kernel/problem.ts'
import { soon, type Soon } from '../../kernel/soon.ts'
import type { Entity, PolicyValue } from '../entity.ts'
import { recordFactsFor, type RecordFacts } from '../record-facts.ts'
import type { PolicySchema } from '../schema.ts'
import { attributesOf, fittedAttributes } from '../typing.ts'
import type { Vocabulary } from './vocabulary.ts'

/** Somebody or something as an enforcement point names it. */
export type Named = {
  readonly type: string
  readonly id: string
  readonly properties?: Readonly<Record<string, unknown>> | undefined
}

/** What a name leads to. */
export type Found = {
  readonly ref: EntityRef
  readonly entities: readonly Entity[]
  /** Whether its facts are Reeve's own; of all others the id may be somebody's address and is not written down. */
  readonly isRecord: boolean
  /** How it proved itself, of a subject of the record. */
  readonly proof?: Proof
  /** Where change windows and freezes apply, of what stands in an environment. */
  readonly place?: { readonly target: string; readonly environment: string }
  /** Of what a purpose can name. */
  readonly targetId?: string
}

/** A name that leads nowhere; the sentence quotes nothing that was asked. */
export type Unfound = { readonly unfound: string }

export type FactNeeds = {
  readonly teams: Teams
  readonly vocabulary: Vocabulary
  /** The record as the node remembers it; without it the rows are read. */
  readonly record?: RecordFacts
  /** By type, what is loaded of the records of higher domains: by their ids, and `notFound` for what is not there. */
  readonly loaders?: ReadonlyMap<string, (db: Db, id: string) => Promise<Resource>>
}

/** What the questions of one call refer to, each loaded once; at once where a node remembers it. */
export type Facts = {
  bootstrap(): Soon<boolean>
  subject(named: Named): Soon<Found | Unfound>
  resource(named: Named): Soon<Found | Unfound>
}

/** Types whose things are in Reeve's record: nothing an enforcement point says of them counts. */
const RECORD_TYPES = new Set<string>([
  ...Object.values(ENTITY_TYPES),
  'Identity',
  'Target',
  'Account',
  'Purpose',
  'AccessRequest',
  'Calendar',
  'Catalog',
  'Change',
  'Finding',
  'Grant',
  'Hold',
  'Deposit',
  'Rotation',
  'Installation',
  'Lease',
  'LifecycleEvent',
  'LoginLink',
  'LoginSession',
  'Ledger',
  'PolicySet',
  'Provider',
  'Passkey',
  'Session',
  'StepUp',
  'Signal',
  'Source',
  'Team',
  'TeamList',
  'Token',
  'TrustRule',
  'Question',
])
const PRINCIPAL_TYPES = new Set<string>(Object.values(ENTITY_TYPES))
const SINGLE = new Set(['Ledger', 'Installation', 'PolicySet', 'TeamList', 'Calendar', 'Catalog'])

/** How a subject proved itself to the enforcement point, which alone has seen it; the weakest when it does not say. */
const PROOFS: readonly Proof[] = ['token', 'bound-token', 'mtls', 'spiffe', 'kubernetes', 'oidc', 'dpop', 'passkey']

const UNKNOWN_SUBJECT: Unfound = { unfound: 'The subject is not known here.' }
const UNKNOWN_RESOURCE: Unfound = { unfound: 'The resource is not known here.' }

export function openFacts(db: Db, needs: FactNeeds, schema: PolicySchema): Facts {
  const kept = new Map<string, Soon<Found | Unfound>>()
  const record = recordFactsFor(db, needs.record)
  const once = (role: string, named: Named, load: () => Soon<Found | Unfound>) => {
    const { type, id, properties } = named
    // Neither name holds a line break where it leads somewhere.
    const key = properties ? JSON.stringify([role, type, id, properties]) : `${role}\n${type}\n${id}`
    const known = kept.get(key) ?? load()
    kept.set(key, known)
    return known
  }
  let bootstrap: Soon<boolean> | undefined
  return {
    bootstrap: () => (bootstrap ??= record.isBootstrap()),
    subject: (named) => once('subject', named, () => loadSubject(record, needs, schema, named)),
    resource: (named) => once('resource', named, () => loadResource({ db, record }, needs, schema, named)),
  }
}

/** Something outside the record, for whoever decides elsewhere by the same words and the same schema. */
export function vouchedFor(
  needs: Pick<FactNeeds, 'vocabulary'>,
  schema: PolicySchema,
  type: string,
  named: Named,
  role: 'subject' | 'resource',
): Found | Unfound {
  return vouched(needs, schema, type, named, role === 'subject' ? UNKNOWN_SUBJECT : UNKNOWN_RESOURCE)
}

/** Whether Reeve's record holds the things of a type. */
export function isOfRecord(type: string): boolean {
  return RECORD_TYPES.has(type)
}

function loadSubject(record: RecordFacts, needs: FactNeeds, schema: PolicySchema, named: Named): Soon<Found | Unfound> {
  const type = needs.vocabulary.typeOf(named.type)
  if (type === undefined) return UNKNOWN_SUBJECT
  // `identity` is anybody of the record, whatever its kind.
  if (type !== 'Identity' && !PRINCIPAL_TYPES.has(type)) {
    return RECORD_TYPES.has(type) ? UNKNOWN_SUBJECT : vouched(needs, schema, type, named, UNKNOWN_SUBJECT)
  }
  const found = identityAs(record, needs, named, type === 'Identity' ? undefined : type)
  return soon(found, (subject) => subject ?? UNKNOWN_SUBJECT)
}

function identityAs(
  record: RecordFacts,
  { teams }: FactNeeds,
  { id, properties }: Named,
  type: string | undefined,
): Soon<Found | undefined> {
  return soon(
    either(isUuid(id) && record.identity(id), () => record.identityNamed(id)),
    (identity) => {
      if (!identity || (type !== undefined && ENTITY_TYPES[identity.kind] !== type)) return undefined
      const proof = PROOFS.find((word) => word === properties?.['proof']) ?? 'token'
      const entities = entitiesOfIdentity(teams, identity, proof)
      return { ref: { type: ENTITY_TYPES[identity.kind], id: identity.id }, entities, isRecord: true, proof }
    },
  )
}

/** What the id leads to, and what the name does where that is nothing. */
function either<T extends object>(
  byId: Soon<T | undefined> | false,
  byName: () => Soon<T | undefined>,
): Soon<T | undefined> {
  return byId === false ? byName() : soon(byId, (found) => found ?? byName())
}

/** What is remembered, and rows for what is not. */
type Sources = { readonly db: Db; readonly record: RecordFacts }

function loadResource(from: Sources, needs: FactNeeds, schema: PolicySchema, named: Named): Soon<Found | Unfound> {
  const { record } = from
  const { id } = named
  const type = needs.vocabulary.typeOf(named.type)
  if (type === undefined) return UNKNOWN_RESOURCE
  const known = (found: Found | undefined) => found ?? UNKNOWN_RESOURCE
  if (PRINCIPAL_TYPES.has(type)) return soon(identityAs(record, needs, named, type), known)
  if (!RECORD_TYPES.has(type)) return vouched(needs, schema, type, named, UNKNOWN_RESOURCE)
  if (type === 'Target') {
    const target = either(isUuid(id) && record.target(id), () => record.targetNamed(id))
    return soon(target, (found) => known(found && foundTarget(found)))
  }
  if (type === 'Account') return soon(accountNamed(record, id), known)
  return fromRows(from.db, needs, type, id)
}

async function fromRows(db: Db, needs: Pick<FactNeeds, 'loaders'>, type: string, id: string): Promise<Found | Unfound> {
  try {
    return (await fromRecord(db, needs, type, id)) ?? UNKNOWN_RESOURCE
  } catch (error) {
    if (notFound.is(error)) return UNKNOWN_RESOURCE
    throw error
  }
}

async function fromRecord(
  db: Db,
  { loaders }: Pick<FactNeeds, 'loaders'>,
  type: string,
  id: string,
): Promise<Found | undefined> {
  if (type === 'Identity') return ofRecord(await identityResource(db, await findIdentity(db, id)))
  if (type === 'Purpose') return ofRecord(await purposeResource(db, await findPurpose(db, id)))
  if (SINGLE.has(type) && id === 'installation') return ofRecord({ type, id, attributes: { id } })
  const load = isUuid(id) ? loaders?.get(type) : undefined
  return load && ofRecord(await load(db, id))
}

/** By its id, or as gateways take it: `account@target`, cut at the last `@` (core 24). */
function accountNamed(record: RecordFacts, id: string): Soon<Found | undefined> {
  if (isUuid(id)) {
    return soon(record.account(id), (account) =>
      soon(account && record.target(account.targetId), (target) => account && target && foundAccount(account, target)),
    )
  }
  const at = id.lastIndexOf('@')
  return soon(at === -1 ? undefined : record.targetNamed(id.slice(at + 1)), (target) =>
    soon(target && record.accountNamed(target.id, id.slice(0, at)), (account) =>
      account && target ? foundAccount(account, target) : undefined,
    ),
  )
}

/** Found once for a record as it was read. */
const foundTargets = new WeakMap<TargetFacts, Found>()
const foundAccounts = new WeakMap<AccountFacts, { readonly target: TargetFacts; readonly found: Found }>()

function foundTarget(target: TargetFacts): Found {
  const known = foundTargets.get(target)
  if (known) return known
  const found = { ...ofRecord(targetResource(target)), place: placeOf(target), targetId: target.id }
  foundTargets.set(target, found)
  return found
}

function foundAccount(account: AccountFacts, target: TargetFacts): Found {
  const known = foundAccounts.get(account)
  if (known?.target === target) return known.found
  const found = { ...ofRecord(accountResource(account, target)), place: placeOf(target), targetId: target.id }
  foundAccounts.set(account, { target, found })
  return found
}

function ofRecord({ type, id, attributes, parents = [] }: Resource): Found {
  const entities = Object.freeze([Object.freeze({ type, id, attributes: Object.freeze({ ...attributes }), parents })])
  return { ref: { type, id }, entities, isRecord: true }
}

function placeOf({ name, environment }: { name: string; environment: string }) {
  return { target: name, environment }
}

/**
 * Something outside the record, on the word of who asks: what is listed of it wins, and its properties count where the schema declares
 * them. Of a type whose things are listed, no other exists.
 */
function vouched(
  { vocabulary }: Pick<FactNeeds, 'vocabulary'>,
  schema: PolicySchema,
  type: string,
  { id, properties = {} }: Named,
  unknown: Unfound,
): Found | Unfound {
  const declared = attributesOf(schema, type)
  const listed = vocabulary.listed(type)
  const known = listed?.get(id)
  if (!declared || (listed && !known)) return unknown
  const named = declared.get('id')?.type.kind === 'text' ? { id } : {}
  const attributes: Record<string, PolicyValue> = {
    ...fittedAttributes(declared, properties),
    ...known?.attributes,
    ...named,
  }
  const { environment } = attributes
  return {
    ref: { type, id },
    entities: [{ type, id, attributes, parents: known?.parents ?? [] }, ...groupsOf(vocabulary, known)],
    isRecord: false,
    ...(typeof environment === 'string' && { place: { target: id, environment } }),
  }
}

/** Every listed group it is in, directly or not; the lists hold no circle. */
function groupsOf(vocabulary: Vocabulary, entity: Entity | undefined): Entity[] {
  const found = new Map<string, Entity>()
  const waiting = [...(entity?.parents ?? [])]
  for (const { type, id } of waiting) {
    const group = vocabulary.listed(type)?.get(id)
    if (!group || found.has(`${type}/${id}`)) continue
    found.set(`${type}/${id}`, group)
    waiting.push(...(group.parents ?? []))
  }
  return [...found.values()]
}

function isUuid(text: string): boolean {
  return text.length === 36 && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
}
