/**
 * What a connector says it saw: facts of the source, no opinions. Three things are never mixed up: known, known to be nothing, and unknown with
 * its reason. Everything here is bounded and tamed when it is kept, whatever the source sent.
 */
import { z } from 'zod'
import { placeInTime } from '../kernel/instant.ts'
import { tame } from './text.ts'

export const NAME_MAX = 300
const ID_MAX = 1_000
export const TEXT_MAX = 1_000
/** Pieces of one observation: scopes of a token, roles a grant came through. */
export const LIST_MAX = 200
export const FACTS_MAX = 50
export const FACT_NAME_MAX = 64
export const TAG_NAME_MAX = 128
export const KIND_MAX = 64
export const RESOURCE_TYPE_MAX = 64
/** Fingerprints or bindings of one credential. */
export const FEW_MAX = 10
/** Outages within one window that are told apart. */
const GAPS_MAX = 1_000

export const KIND = /^[a-z0-9]+(-[a-z0-9]+)*$/

const text = (max: number) => z.string().transform((raw) => tame(raw, max))
const texts = (max: number) => z.array(text(max)).transform((all) => all.slice(0, LIST_MAX))

/** Why something is not known: no right to see it, the source does not keep it, nobody looked, or looking failed. */
export const WhyUnknown = z.enum(['denied', 'unsupported', 'not-collected', 'failed'])
export type WhyUnknown = z.output<typeof WhyUnknown>

/** A value with its certainty. `known(null)` does not exist: what is known to be nothing has a value that says so. */
export type Known<T> = { readonly known: true; readonly value: T } | { readonly known: false; readonly why: WhyUnknown }

export function known<T>(value: T): Known<T> {
  return { known: true, value }
}

export function unknown(why: WhyUnknown): { readonly known: false; readonly why: WhyUnknown } {
  return { known: false, why }
}

function knownOf<T extends z.ZodType>(value: T) {
  return z.discriminatedUnion('known', [
    z.object({ known: z.literal(true), value }),
    z.object({ known: z.literal(false), why: WhyUnknown }),
  ])
}

/**
 * Names one thing for good: an oid, a uid, an objectGUID, never a name that can be given again. Without `authority` it is a thing of the source
 * that is being read; with it, of the system that the authority names (see `Probe.authority`), whether or not that is a source as well.
 */
export const NativeId = z.object({
  kind: z.string().regex(KIND).max(KIND_MAX),
  id: z.string().min(1),
  authority: z.string().min(1).max(NAME_MAX).optional(),
})
export type NativeId = z.output<typeof NativeId>
/** How an id is shown and kept beside the hash of the whole one. */
export const shownId = (id: string) => tame(id, ID_MAX)

/** Equal fingerprints are the same secret or key. `public` ones are what anybody may know: an SSH key's hash, the id of a key. */
export const CredentialFingerprint = z.discriminatedUnion('alg', [
  z.object({
    alg: z.literal('hmac-sha256'),
    keyId: z.string().regex(/^[0-9a-f]{12}$/),
    value: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  z.object({
    alg: z.enum(['ssh-sha256', 'spki-sha256', 'certificate-sha256', 'key-id']),
    value: z.string().min(1).max(NAME_MAX),
  }),
])
export type CredentialFingerprint = z.output<typeof CredentialFingerprint>

/** What else the source says and no field has: plain values under short names. */
const Facts = z
  .record(z.string().max(FACT_NAME_MAX), z.union([text(TEXT_MAX), z.number(), z.boolean(), texts(NAME_MAX), z.null()]))
  .refine((facts) => Object.keys(facts).length <= FACTS_MAX, 'too many facts')
const Tags = z
  .record(text(TAG_NAME_MAX), text(TEXT_MAX))
  .transform((tags) => Object.fromEntries(Object.entries(tags).slice(0, FACTS_MAX)))

/** What cannot be written as a time is none that is known: it must hide nothing else. */
const When = knownOf(z.date()).transform(writable)
/** An end beyond all calendars is none. */
const Expiry = knownOf(z.union([z.date(), z.literal('never')])).transform((told) =>
  isTooLate(told) ? known('never' as const) : writable(told),
)
const Used = z.date().refine((at) => placeInTime(at) !== 'too-early', 'no calendar has that year')

function writable<T extends Date | 'never'>(told: Known<T>): Known<T> {
  return told.known && told.value !== 'never' && placeInTime(told.value) !== 'yes' ? unknown('failed') : told
}

function isTooLate(told: Known<Date | 'never'>): boolean {
  return told.known && told.value !== 'never' && placeInTime(told.value) === 'too-late'
}

/** What can hold rights there. `account`: proves itself, and the source does not tell a person from a program. */
export const PrincipalType = z.enum([
  'account',
  'human',
  'service',
  'workload',
  'agent',
  'group',
  'role',
  'app',
  'device',
])

export const PrincipalState = z.enum(['active', 'disabled', 'locked', 'expired', 'deleted'])

const Principal = z.object({
  kind: z.literal('principal'),
  id: NativeId,
  type: PrincipalType,
  name: text(NAME_MAX),
  aliases: texts(NAME_MAX).default([]),
  state: knownOf(PrincipalState),
  createdAt: When,
  createdBy: knownOf(NativeId),
  /** Whether somebody can log in with it by hand. */
  interactive: knownOf(z.boolean()),
  environment: knownOf(text(NAME_MAX)),
  /** Labels, tags, the comment on it: evidence of owners. */
  tags: Tags.default({}),
  /** Of what lives for a moment: the definition that is governed. Instances are counted, not kept one by one. */
  instanceOf: NativeId.optional(),
  facts: Facts.default({}),
})

export const CredentialType = z.enum([
  'password',
  'api-key',
  'token',
  'oauth-grant',
  'client-secret',
  'ssh-key',
  'key-pair',
  'certificate',
  'service-account-token',
  'federated-trust',
  'webhook-secret',
  'stored-secret',
  'none',
  'other',
])
export const Holder = z.enum(['self', 'vault', 'third-party', 'file', 'ci', 'source', 'unknown-holder'])

export const CredentialState = z.enum(['active', 'inactive', 'expired', 'revoked'])
export const Binding = z.enum(['ip', 'mtls', 'dpop', 'audience', 'subject-claim', 'host', 'command'])
export const Strength = z.enum(['strong', 'weak', 'deprecated'])

const Credential = z.object({
  kind: z.literal('credential'),
  id: NativeId,
  principal: knownOf(NativeId),
  type: CredentialType,
  name: text(NAME_MAX),
  state: knownOf(CredentialState),
  createdAt: When,
  rotatedAt: When,
  expiresAt: Expiry,
  fingerprints: knownOf(z.array(CredentialFingerprint).max(FEW_MAX)),
  scopes: knownOf(texts(NAME_MAX)),
  /** What it only works together with. */
  bindings: knownOf(z.array(Binding).max(FEW_MAX)),
  strength: knownOf(Strength),
  strengthWhy: texts(TEXT_MAX).default([]),
  heldBy: knownOf(Holder),
  facts: Facts.default({}),
})

const Resource = z.object({
  kind: z.literal('resource'),
  id: NativeId,
  type: text(RESOURCE_TYPE_MAX),
  name: text(NAME_MAX),
  parent: NativeId.optional(),
  environment: knownOf(text(NAME_MAX)),
  /** As a tier: 0 is the most sensitive. */
  sensitivity: knownOf(z.int().min(0).max(3)),
  tags: Tags.default({}),
  facts: Facts.default({}),
})

/** What a right amounts to; the privilege itself keeps the source's own word. */
export const GrantLevel = z.enum(['use', 'read', 'write', 'admin', 'grant', 'impersonate'])

const Grant = z.object({
  kind: z.literal('grant'),
  id: NativeId,
  principal: NativeId,
  on: NativeId,
  privilege: text(NAME_MAX),
  level: GrantLevel,
  /** What it came through, nearest first; empty when it was given directly. */
  via: z.array(NativeId).max(LIST_MAX).default([]),
  /** Whether the holder may pass it on. */
  grantable: knownOf(z.boolean()),
  grantedBy: knownOf(NativeId),
  expiresAt: Expiry,
  facts: Facts.default({}),
})

/** Whom `to` believes: a foreign issuer with the claims it must show, or a principal that may act as it. */
const Trust = z.object({
  kind: z.literal('trust'),
  id: NativeId,
  from: z.union([
    NativeId,
    z.object({ issuer: text(NAME_MAX), claims: z.record(z.string().max(128), texts(NAME_MAX)) }),
  ]),
  to: NativeId,
  /** Whether the condition lets in more than one named subject. */
  wildcard: z.boolean(),
  facts: Facts.default({}),
})

export const ReferenceHow = z.enum(['env', 'volume', 'file', 'ci-secret', 'code', 'vault-read', 'config', 'connection'])

/** Where a credential is kept or used: an edge of the consumer map. */
export const ReferenceEvidence = z.enum(['static', 'runtime'])

const Reference = z.object({
  kind: z.literal('reference'),
  id: NativeId,
  consumer: NativeId,
  credential: z.union([NativeId, CredentialFingerprint]),
  how: ReferenceHow,
  location: text(TEXT_MAX),
  evidence: ReferenceEvidence,
  facts: Facts.default({}),
})

const Semantics = z.enum(['auth', 'api-call', 'session', 'statement', 'assume', 'decrypt', 'mount'])

/**
 * Use that was seen. With `count` it is added up, and then only from a scope that gives a cursor with each page, so that no page counts twice.
 * Without, it is the source's last known use: the latest wins.
 */
const Usage = z.object({
  kind: z.literal('usage'),
  subject: NativeId,
  semantics: Semantics,
  at: Used,
  count: z.int().min(1).max(1e9).optional(),
  /** How many short-lived instances of the subject this stands for. */
  instances: z.int().min(1).max(1e9).optional(),
  privilege: text(NAME_MAX).optional(),
  on: NativeId.optional(),
  from: z.object({ address: text(64).optional(), agent: text(NAME_MAX).optional() }).default({}),
  actor: knownOf(NativeId),
})

/**
 * When use would have been seen. Only `every-use` over an unbroken time proves that something was not used; samples prove nothing but use.
 * Without a subject it holds for every principal of the source.
 */
const UsageWindow = z
  .object({
    kind: z.literal('usage-window'),
    subject: NativeId.optional(),
    semantics: Semantics,
    sees: z.enum(['every-use', 'samples']),
    from: Used,
    to: Used,
    gaps: z
      .array(z.tuple([Used, Used]))
      .max(GAPS_MAX)
      .default([]),
  })
  .refine((window) => window.from <= window.to, 'a window ends after it begins')

export const Observation = z.discriminatedUnion('kind', [
  Principal,
  Credential,
  Resource,
  Grant,
  Trust,
  Reference,
  Usage,
  UsageWindow,
])
/** As a connector says it; what has a default may be left out. */
export type Observation = z.input<typeof Observation>
/** As it is kept. */
export type Kept = z.output<typeof Observation>
export type ObservationKind = Observation['kind']
