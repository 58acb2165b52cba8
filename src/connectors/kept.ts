/**
 * What is kept of an observation. Nearly all are told just as they are kept, and that is seen here in a tenth of the time that the schema takes; the
 * schema has the word over all others. Whatever is taken as told here the schema would take, and leave as it is.
 */
import {
  Binding,
  CredentialState,
  CredentialType,
  FACT_NAME_MAX,
  FACTS_MAX,
  FEW_MAX,
  GrantLevel,
  Holder,
  KIND,
  KIND_MAX,
  LIST_MAX,
  NAME_MAX,
  Observation,
  PrincipalState,
  PrincipalType,
  ReferenceEvidence,
  ReferenceHow,
  RESOURCE_TYPE_MAX,
  Strength,
  TAG_NAME_MAX,
  TEXT_MAX,
  WhyUnknown,
  type Kept,
} from './observation.ts'
import { isInstant, placeInTime } from '../kernel/instant.ts'
import { tame } from './text.ts'

/** Undefined for what breaks the contract. */
export function keptOf(told: Observation): Kept | undefined {
  return keptAsTold(told) ?? Observation.safeParse(told).data
}

/** The same for what is kept as it was told, but for what has a default; fields that nobody knows may be in it still. Undefined: ask the schema. */
export function keptAsTold(told: Observation): Kept | undefined {
  switch (told.kind) {
    case 'principal': {
      const { aliases = [], tags = {}, facts = {} } = told
      if (!isPrincipal(told) || !isTexts(aliases, NAME_MAX) || !isTags(tags) || !isFacts(facts)) return undefined
      return { ...told, aliases, tags, facts }
    }
    case 'credential': {
      const { strengthWhy = [], facts = {} } = told
      if (!isCredential(told) || !isTexts(strengthWhy, TEXT_MAX) || !isFacts(facts)) return undefined
      return { ...told, strengthWhy, facts }
    }
    case 'resource': {
      const { tags = {}, facts = {} } = told
      return isResource(told) && isTags(tags) && isFacts(facts) ? { ...told, tags, facts } : undefined
    }
    case 'grant': {
      const { via = [], facts = {} } = told
      if (!isGrant(told) || !isListOf(via, LIST_MAX, isNativeId) || !isFacts(facts)) return undefined
      return { ...told, via, facts }
    }
    case 'reference': {
      const { facts = {} } = told
      return isReference(told) && isFacts(facts) ? { ...told, facts } : undefined
    }
    case 'trust':
    case 'usage':
    case 'usage-window':
    default:
      return undefined
  }
}

type Of<Kind extends Observation['kind']> = Extract<Observation, { kind: Kind }>
type Is = (value: unknown) => boolean

function isPrincipal(told: Of<'principal'>): boolean {
  return (
    isNativeId(told.id) &&
    isPrincipalType(told.type) &&
    isText(told.name, NAME_MAX) &&
    isKnown(told.state, isPrincipalState) &&
    isKnown(told.createdAt, isDate) &&
    isKnown(told.createdBy, isNativeId) &&
    isKnown(told.interactive, isBoolean) &&
    isKnown(told.environment, isName) &&
    (told.instanceOf === undefined || isNativeId(told.instanceOf))
  )
}

function isCredential(told: Of<'credential'>): boolean {
  return (
    isNativeId(told.id) &&
    isKnown(told.principal, isNativeId) &&
    isCredentialType(told.type) &&
    isText(told.name, NAME_MAX) &&
    isKnown(told.state, isCredentialState) &&
    isKnown(told.createdAt, isDate) &&
    isKnown(told.rotatedAt, isDate) &&
    isKnown(told.expiresAt, isExpiry) &&
    isKnown(told.fingerprints, isFingerprints) &&
    isKnown(told.scopes, isNames) &&
    isKnown(told.bindings, isBindings) &&
    isKnown(told.strength, isStrength) &&
    isKnown(told.heldBy, isHolder)
  )
}

function isResource(told: Of<'resource'>): boolean {
  return (
    isNativeId(told.id) &&
    isText(told.type, RESOURCE_TYPE_MAX) &&
    isText(told.name, NAME_MAX) &&
    (told.parent === undefined || isNativeId(told.parent)) &&
    isKnown(told.environment, isName) &&
    isKnown(told.sensitivity, isSensitivity)
  )
}

function isGrant(told: Of<'grant'>): boolean {
  return (
    isNativeId(told.id) &&
    isNativeId(told.principal) &&
    isNativeId(told.on) &&
    isText(told.privilege, NAME_MAX) &&
    isGrantLevel(told.level) &&
    isKnown(told.grantable, isBoolean) &&
    isKnown(told.grantedBy, isNativeId) &&
    isKnown(told.expiresAt, isExpiry)
  )
}

function isReference(told: Of<'reference'>): boolean {
  return (
    isNativeId(told.id) &&
    isNativeId(told.consumer) &&
    // With both it would be taken for an id.
    isNativeId(told.credential) &&
    !('alg' in told.credential) &&
    isReferenceHow(told.how) &&
    isText(told.location, TEXT_MAX) &&
    isReferenceEvidence(told.evidence)
  )
}

/** Whether it is one of the words of an enumeration. */
function oneOf({ options }: { readonly options: readonly string[] }): Is {
  const words = new Set<unknown>(options)
  return (value) => words.has(value)
}

const isPrincipalType = oneOf(PrincipalType)
const isPrincipalState = oneOf(PrincipalState)
const isCredentialType = oneOf(CredentialType)
const isCredentialState = oneOf(CredentialState)
const isHolder = oneOf(Holder)
const isStrength = oneOf(Strength)
const isBinding = oneOf(Binding)
const isGrantLevel = oneOf(GrantLevel)
const isReferenceHow = oneOf(ReferenceHow)
const isReferenceEvidence = oneOf(ReferenceEvidence)
const isWhyUnknown = oneOf(WhyUnknown)

const isBoolean: Is = (value) => typeof value === 'boolean'
const isDate: Is = (value) => isInstant(value) && placeInTime(value) === 'yes'
const isExpiry: Is = (value) => value === 'never' || isDate(value)
const isSensitivity: Is = (value) => value === 0 || value === 1 || value === 2 || value === 3
const isName: Is = (value) => isText(value, NAME_MAX)
const isNames: Is = (value) => isTexts(value, NAME_MAX)
const isBindings: Is = (value) => isListOf(value, FEW_MAX, isBinding)
const isFingerprints: Is = (value) => isListOf(value, FEW_MAX, isFingerprint)

function isText(value: unknown, max: number): boolean {
  return typeof value === 'string' && tame(value, max) === value
}

function isTexts(value: unknown, max: number): boolean {
  return isListOf(value, LIST_MAX, (text) => isText(text, max))
}

function isListOf(value: unknown, max: number, is: Is): boolean {
  // `every` passes over holes, which are no elements.
  if (!Array.isArray(value) || value.length > max) return false
  for (let at = 0; at < value.length; at += 1) if (!is(value[at])) return false
  return true
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isKnown(told: unknown, is: Is): boolean {
  if (!isObject(told)) return false
  return told['known'] === true ? is(told['value']) : told['known'] === false && isWhyUnknown(told['why'])
}

function isNativeId(value: unknown): boolean {
  if (!isObject(value)) return false
  const { kind, id, authority } = value
  return (
    typeof kind === 'string' &&
    kind.length <= KIND_MAX &&
    KIND.test(kind) &&
    typeof id === 'string' &&
    id.length > 0 &&
    (authority === undefined || (typeof authority === 'string' && authority.length > 0 && authority.length <= NAME_MAX))
  )
}

const PUBLIC = new Set<unknown>(['ssh-sha256', 'spki-sha256', 'certificate-sha256', 'key-id'])

function isFingerprint(fingerprint: unknown): boolean {
  if (!isObject(fingerprint)) return false
  const { alg, keyId, value } = fingerprint
  if (typeof value !== 'string') return false
  if (PUBLIC.has(alg)) return value.length > 0 && value.length <= NAME_MAX
  return (
    alg === 'hmac-sha256' && typeof keyId === 'string' && /^[0-9a-f]{12}$/.test(keyId) && /^[0-9a-f]{64}$/.test(value)
  )
}

const isTags: Is = (value) => isRecord(value, (name) => isText(name, TAG_NAME_MAX), isTag)
const isTag: Is = (value) => isText(value, TEXT_MAX)
const isFacts: Is = (value) => isRecord(value, (name) => name.length <= FACT_NAME_MAX, isFact)
const isFact: Is = (value) =>
  typeof value === 'string'
    ? isText(value, TEXT_MAX)
    : typeof value === 'number'
      ? Number.isFinite(value)
      : typeof value === 'boolean' || value === null || isNames(value)

function isRecord(value: unknown, isKey: (name: string) => boolean, is: Is): boolean {
  if (!isObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return false
  const names = Reflect.ownKeys(value)
  if (names.length > FACTS_MAX) return false
  // The schema leaves that name out.
  return names.every((name) => typeof name === 'string' && name !== '__proto__' && isKey(name) && is(value[name]))
}
