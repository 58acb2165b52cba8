import { sha256 } from '../kernel/crypto.ts'
import { isInstant } from '../kernel/instant.ts'
import { linked, type Entity, type PolicyValue } from './entity.ts'
import type { Actor, Fact } from '../ledger/ledger.ts'
import type { EntityRef } from '../kernel/permit.ts'
import type { Decision } from './decide.ts'
import { decisionMade } from './events.ts'

/** A link of the chain as it was asked about. */
export type Link = EntityRef & { readonly proof: string | null; readonly isRecord: boolean }

/** A decision with the question it answers: enough to ask it again, and no more of anybody than the record already says. */
export type Observed = {
  readonly decision: Pick<Decision, 'id' | 'policyVersion' | 'action' | 'policies' | 'errors'>
  readonly via: 'authzen' | 'access' | 'library'
  /** `owed`: the policies permit it, and something they ask for in return was not shown. */
  readonly decided: 'permit' | 'owed' | 'deny'
  /** Who asked: an enforcement point, or the subject itself. */
  readonly actor: Actor
  readonly chain: readonly Link[]
  /** Where it was decided elsewhere, when. */
  readonly decidedAt?: Date
  readonly resource: EntityRef & { readonly isRecord: boolean }
  readonly context: Readonly<Record<string, PolicyValue>>
  /** The facts it was decided on, or the hash of them where somebody else decided. */
  readonly entities: readonly Entity[] | { readonly sha256: string }
}

/** Keyed per installation: the same text gives the same print here and another one elsewhere. */
export type Fingerprint = (text: string) => string

/** The entry of a decision. Whoever is not in the record stands in it as a fingerprint (core 11): an id from outside may be an address. */
export function entryOf(fingerprint: Fingerprint, observed: Observed): Fact<(typeof decisionMade)['facts']['shape']> {
  const { decision, via, decided, actor, chain, resource, entities } = observed
  const { kept, isWhole } = keptContext(observed.context)
  const on = known(fingerprint, resource)
  return {
    event: decisionMade,
    actor,
    onBehalfOf: chain.slice(1).map((link) => known(fingerprint, link).id),
    resource: on,
    decision: { id: decision.id, policyVersion: decision.policyVersion },
    outcome: decided === 'permit' ? 'done' : 'refused',
    facts: {
      via,
      decided,
      asked: decision.action,
      chain: chain.map((link) => ({ ...known(fingerprint, link), proof: link.proof })),
      on,
      context: kept,
      isWhole,
      policies: decision.policies.map(({ id }) => id).slice(0, MAX_POLICIES),
      errors: decision.errors.length,
      ...(observed.decidedAt && { decidedAt: observed.decidedAt.toISOString() }),
      sliceSha256: 'sha256' in entities ? entities.sha256 : sliceSha256(entities),
    },
  }
}

/** How a thing outside the record is named in an entry. */
export function printed(fingerprint: Fingerprint, { type, id }: EntityRef): string {
  return `print:${fingerprint(`${type}\n${id}`)}`
}

const MAX_POLICIES = 100

function known(fingerprint: Fingerprint, ref: EntityRef & { readonly isRecord: boolean }): EntityRef {
  const { type, id, isRecord } = ref
  return { type, id: isRecord ? id : printed(fingerprint, ref) }
}

/** Names of the context whose values Reeve makes itself, or that hold a word of its own. */
const OURS = new Set([
  'channel',
  'requestKind',
  'freeze',
  'bootstrap',
  'reasonGiven',
  'purpose',
  'window',
  'risk',
  'signals',
  'standard',
])
const WORD = /^[A-Za-z0-9][A-Za-z0-9._/#-]{0,63}$/
/** Said by whoever asks, and kept where it has the form of what it should be. */
const WORDS = new Set(['ticket', 'environment'])

/** What of a context may stand in an entry; text that others wrote may name people, so it is left out, and that is said. */
function keptContext(context: Observed['context']): { kept: Record<string, unknown>; isWhole: boolean } {
  const kept: Record<string, unknown> = {}
  let isWhole = true
  for (const [name, value] of Object.entries(context)) {
    if (name === 'now' || name === 'onBehalfOf') continue
    const isPlain = isNoText(value) || (isRecordOf(value) && Object.values(value).every(isNoText))
    const isWord = WORDS.has(name) && typeof value === 'string' && WORD.test(value)
    if (OURS.has(name) || isPlain || isWord) kept[name] = value
    else isWhole = false
  }
  return { kept, isWhole }
}

function isNoText(value: PolicyValue): boolean {
  return typeof value === 'boolean' || (typeof value === 'number' && Number.isSafeInteger(value))
}

function isRecordOf(value: PolicyValue): value is { readonly [key: string]: PolicyValue } {
  return typeof value === 'object' && !Array.isArray(value) && !isInstant(value) && linked(value) === undefined
}

/** Of slices that do not change any more. */
const hashes = new WeakMap<readonly Entity[], string>()

/** The hash of the facts of a decision: the same over the same facts, in whatever order they came. */
export function sliceSha256(entities: readonly Entity[]): string {
  const known = hashes.get(entities)
  if (known !== undefined) return known
  const made = sha256(sliceText(entities)).toString('hex')
  if (Object.isFrozen(entities)) hashes.set(entities, made)
  return made
}

/** The slice in one spelling, so that two decisions over the same facts have the same hash. */
function sliceText(entities: readonly Entity[]): string {
  const lines = entities.map(({ type, id, attributes, parents = [] }) => {
    const groups = parents.map((parent) => `${parent.type} ${parent.id}`).sort()
    return JSON.stringify([type, id, plain(attributes), groups])
  })
  return lines.sort().join('\n')
}

function plain(value: PolicyValue): unknown {
  if (typeof value !== 'object') return value
  if (isInstant(value)) return value.toISOString()
  const to = linked(value)
  if (to) return { link: [to.type, to.id] }
  if (Array.isArray(value)) return value.map(plain)
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => [name, plain(member)])
}
