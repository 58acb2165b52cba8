import {
  shownId,
  type CredentialFingerprint,
  type Kept,
  type Known,
  type NativeId,
  type Observation,
} from '../connectors/connector.ts'
import { hashedId, objectId } from './object-id.ts'

/** What a list tells and a table keeps one row of each. Uses and windows are added up instead. */
export const OBJECT_KINDS = ['principal', 'credential', 'resource', 'grant', 'trust', 'reference'] as const
export type ObjectKind = (typeof OBJECT_KINDS)[number]
/** As it was told, before anything is parsed. */
export type ToldObject = Extract<Observation, { kind: ObjectKind }>
export type KeptObject = Extract<Kept, { kind: ObjectKind }>
export type KeptUsage = Extract<Kept, { kind: 'usage' }>
export type KeptWindow = Extract<Kept, { kind: 'usage-window' }>

const COMMON = ['native_kind', 'native_id', 'facts', 'unknown'] as const

/** The table of each kind, with the columns that come from what was told. */
export const OBJECT_TABLES: Readonly<
  Record<ObjectKind, { readonly table: string; readonly columns: readonly string[] }>
> = {
  principal: {
    table: 'observed_principal',
    columns: [
      ...COMMON,
      'type',
      'name',
      'aliases',
      'state',
      'created_at',
      'created_by_id',
      'interactive',
      'environment',
      'instance_of_id',
      'tags',
    ],
  },
  credential: {
    table: 'observed_credential',
    columns: [
      ...COMMON,
      'principal_id',
      'type',
      'name',
      'state',
      'created_at',
      'rotated_at',
      'expires_at',
      'never_expires',
      'fingerprints',
      'scopes',
      'bindings',
      'strength',
      'strength_why',
      'held_by',
    ],
  },
  resource: {
    table: 'observed_resource',
    columns: [...COMMON, 'type', 'name', 'parent_id', 'environment', 'sensitivity', 'tags'],
  },
  grant: {
    table: 'observed_grant',
    columns: [
      ...COMMON,
      'principal_id',
      'on_id',
      'privilege',
      'level',
      'via',
      'grantable',
      'granted_by_id',
      'expires_at',
      'never_expires',
    ],
  },
  trust: {
    table: 'observed_trust',
    columns: [...COMMON, 'from_id', 'issuer', 'claims', 'to_id', 'is_wildcard'],
  },
  reference: {
    table: 'observed_reference',
    columns: [...COMMON, 'consumer_id', 'credential_id', 'fingerprint', 'how', 'location', 'evidence'],
  },
}

type Row = Readonly<Record<string, unknown>>

/** The columns of one thing. A field that is not known is null and `unknown` says why. */
export function rowOf(kept: KeptObject, authority: string): Row {
  const fields = new Fields(authority)
  const { kind: nativeKind, id } = kept.id
  const own = columnsOf(kept, fields)
  return { native_kind: nativeKind, native_id: shownId(id), facts: kept.facts, ...own, unknown: fields.unknown }
}

/** Of each kind, its own columns. */
function columnsOf(kept: KeptObject, of: Fields): Row {
  switch (kept.kind) {
    case 'principal':
      return principalColumns(kept, of)
    case 'credential':
      return credentialColumns(kept, of)
    case 'resource':
      return resourceColumns(kept, of)
    case 'grant':
      return grantColumns(kept, of)
    case 'trust':
      return trustColumns(kept, of)
    case 'reference':
    default:
      return referenceColumns(kept, of)
  }
}

type Of<Kind extends ObjectKind> = Extract<Kept, { kind: Kind }>

function principalColumns(kept: Of<'principal'>, of: Fields): Row {
  return {
    type: kept.type,
    name: kept.name,
    aliases: kept.aliases,
    state: of.value('state', kept.state),
    created_at: of.value('createdAt', kept.createdAt),
    created_by_id: of.reference('createdBy', kept.createdBy),
    interactive: of.value('interactive', kept.interactive),
    environment: of.value('environment', kept.environment),
    instance_of_id: kept.instanceOf ? of.id(kept.instanceOf) : null,
    tags: kept.tags,
  }
}

function credentialColumns(kept: Of<'credential'>, of: Fields): Row {
  return {
    principal_id: of.reference('principal', kept.principal),
    type: kept.type,
    name: kept.name,
    state: of.value('state', kept.state),
    created_at: of.value('createdAt', kept.createdAt),
    rotated_at: of.value('rotatedAt', kept.rotatedAt),
    ...of.expiry(kept.expiresAt),
    fingerprints: of.value('fingerprints', kept.fingerprints)?.map(fingerprintText) ?? null,
    scopes: of.value('scopes', kept.scopes),
    bindings: of.value('bindings', kept.bindings),
    strength: of.value('strength', kept.strength),
    strength_why: kept.strengthWhy,
    held_by: of.value('heldBy', kept.heldBy),
  }
}

function resourceColumns(kept: Of<'resource'>, of: Fields): Row {
  return {
    type: kept.type,
    name: kept.name,
    parent_id: kept.parent ? of.id(kept.parent) : null,
    environment: of.value('environment', kept.environment),
    sensitivity: of.value('sensitivity', kept.sensitivity),
    tags: kept.tags,
  }
}

function grantColumns(kept: Of<'grant'>, of: Fields): Row {
  return {
    principal_id: of.id(kept.principal),
    on_id: of.id(kept.on),
    privilege: kept.privilege,
    level: kept.level,
    via: kept.via.map((through) => of.id(through)),
    grantable: of.value('grantable', kept.grantable),
    granted_by_id: of.reference('grantedBy', kept.grantedBy),
    ...of.expiry(kept.expiresAt),
  }
}

function trustColumns(kept: Of<'trust'>, of: Fields): Row {
  return {
    from_id: 'issuer' in kept.from ? null : of.id(kept.from),
    issuer: 'issuer' in kept.from ? kept.from.issuer : null,
    claims: 'issuer' in kept.from ? kept.from.claims : null,
    to_id: of.id(kept.to),
    is_wildcard: kept.wildcard,
  }
}

function referenceColumns(kept: Of<'reference'>, of: Fields): Row {
  return {
    consumer_id: of.id(kept.consumer),
    credential_id: 'alg' in kept.credential ? null : of.id(kept.credential),
    fingerprint: 'alg' in kept.credential ? fingerprintText(kept.credential) : null,
    how: kept.how,
    location: kept.location,
    evidence: kept.evidence,
  }
}

class Fields {
  readonly unknown: Record<string, string> = {}
  readonly #authority: string

  constructor(authority: string) {
    this.#authority = authority
  }

  id(native: NativeId): string {
    return objectId(this.#authority, native)
  }

  value<T>(field: string, told: Known<T>): T | null {
    if (told.known) return told.value
    this.unknown[field] = told.why
    return null
  }

  reference(field: string, told: Known<NativeId>): string | null {
    const native = this.value(field, told)
    return native === null ? null : this.id(native)
  }

  expiry(told: Known<Date | 'never'>): Row {
    const value = this.value('expiresAt', told)
    return { expires_at: value === 'never' ? null : value, never_expires: value === 'never' }
  }
}

/** How a fingerprint is kept, so that equal text is the same secret or key. */
function fingerprintText(of: CredentialFingerprint): string {
  return of.alg === 'hmac-sha256' ? `${of.alg}:${of.keyId}:${of.value}` : `${of.alg}:${of.value}`
}

/** One way of using one thing on one day, added up; or its last known use, which has no day. */
export type UsageRow = {
  readonly id: string
  readonly subject_id: string
  readonly semantics: string
  readonly privilege: string | null
  readonly on_id: string | null
  readonly actor_id: string | null
  readonly address: string | null
  readonly agent: string | null
  readonly day_at: string | null
  first_at: string
  last_at: string
  count: number
  instances: number
}

/** Adds up the uses of one page. Uses dated after `now` count as of `now`: a clock of somebody else's is no news of the future. */
export function addUp(uses: readonly KeptUsage[], scopeId: string, authority: string, now: Date): UsageRow[] {
  const rows = new Map<string, UsageRow>()
  for (const use of uses) {
    const at = (use.at > now ? now : use.at).toISOString()
    const row = emptyUsage(use, scopeId, authority, at)
    const seen = rows.get(row.id)
    if (!seen) {
      rows.set(row.id, row)
      continue
    }
    if (at < seen.first_at) seen.first_at = at
    if (at > seen.last_at) seen.last_at = at
    seen.count += row.count
    seen.instances += row.instances
  }
  return [...rows.values()]
}

function emptyUsage(use: KeptUsage, scopeId: string, authority: string, at: string): UsageRow {
  const subjectId = objectId(authority, use.subject)
  const onId = use.on ? objectId(authority, use.on) : null
  const actorId = use.actor.known ? objectId(authority, use.actor.value) : null
  const address = use.from.address ?? null
  const agent = use.from.agent ?? null
  const privilege = use.privilege ?? null
  const day = use.count === undefined ? null : `${at.slice(0, 10)}T00:00:00.000Z`
  return {
    id: hashedId([scopeId, subjectId, use.semantics, privilege, onId, actorId, address, agent, day]),
    subject_id: subjectId,
    semantics: use.semantics,
    privilege,
    on_id: onId,
    actor_id: actorId,
    address,
    agent,
    day_at: day,
    first_at: at,
    last_at: at,
    count: use.count ?? 0,
    instances: use.instances ?? 0,
  }
}

export type WindowRow = {
  readonly id: string
  readonly subject_id: string | null
  readonly semantics: string
  readonly sees: string
  /** A literal of `tstzmultirange`: the window without its gaps. */
  readonly seen: string
}

export function windowRow(window: KeptWindow, scopeId: string, authority: string, now: Date): WindowRow {
  const subjectId = window.subject ? objectId(authority, window.subject) : null
  const to = window.to > now ? now : window.to
  const pieces: string[] = []
  let from = window.from
  for (const [begin, end] of window.gaps.toSorted(([a], [b]) => a.getTime() - b.getTime())) {
    if (begin > from) pieces.push(range(from, begin < to ? begin : to))
    if (end > from) from = end
  }
  if (from <= to) pieces.push(range(from, to))
  return {
    id: hashedId([scopeId, subjectId, window.semantics, window.sees]),
    subject_id: subjectId,
    semantics: window.semantics,
    sees: window.sees,
    seen: `{${pieces.join(',')}}`,
  }
}

function range(from: Date, to: Date): string {
  return from <= to ? `[${from.toISOString()},${to.toISOString()}]` : 'empty'
}
