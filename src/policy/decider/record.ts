/** What a decider was sent of the record: each fact with when it was asked for, and none older than the bound. */
import { z } from 'zod'
import type { Clock } from '../../kernel/clock.ts'
import { floorFrom } from '../floor.ts'
import { isOfRecord, vouchedFor, type Found, type Named, type Unfound } from '../authzen/facts.ts'
import { isPrivileged } from '../authzen/evaluate.ts'
import type { Sources } from '../authzen/question.ts'
import { vocabularyOf } from '../authzen/vocabulary.ts'
import type { PolicyValue } from '../entity.ts'
import type { Obligations } from '../obligations.ts'
import type { PolicySet } from '../policy-set.ts'
import { unpackFound, unpackValue } from './codec.ts'
import type { FactItem } from './contract.ts'

/** Kept at most; what was not asked about for the longest goes first. */
const MOST_KEPT = 20_000
/** What nobody asked about for this long is not asked for again. */
const FORGET_MS = 60_000

type Situation = Awaited<ReturnType<Sources['situation']>>
export type Fact =
  | { readonly kind: 'found'; readonly found: Found | Unfound }
  | { readonly kind: 'purpose'; readonly purpose: PolicyValue | undefined }
  | { readonly kind: 'floor'; readonly floor: Obligations | undefined }
  | { readonly kind: 'place'; readonly situation: Situation }
  | { readonly kind: 'bootstrap'; readonly bootstrap: boolean }

type Kept = { readonly item: FactItem; readonly fact: Fact; readonly askedAtMs: number; usedAtMs: number }

export class SyncedRecord {
  readonly #kept = new Map<string, Kept>()
  readonly #clock: Clock
  readonly #staleMs: number
  readonly #ask: (key: string, item: FactItem) => Promise<Fact>

  constructor(clock: Clock, staleMs: number, ask: (key: string, item: FactItem) => Promise<Fact>) {
    this.#clock = clock
    this.#staleMs = staleMs
    this.#ask = ask
  }

  /** A fact as it stood within the bound; asked for where it is not known. */
  read(item: FactItem): Fact | Promise<Fact> {
    const key = JSON.stringify(item)
    const kept = this.#kept.get(key)
    const now = this.#clock.monotonicMs()
    if (kept && now - kept.askedAtMs <= this.#staleMs) {
      kept.usedAtMs = now
      return kept.fact
    }
    return this.#ask(key, item)
  }

  /** Keeps an answer for an item; throws for what is none. */
  put(key: string, item: FactItem, json: unknown, askedAtMs: number): Fact {
    const before = this.#kept.get(key)
    const fact = factIn(item, json)
    this.#kept.delete(key)
    this.#kept.set(key, { item, fact, askedAtMs, usedAtMs: before?.usedAtMs ?? askedAtMs })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MOST_KEPT) break
      this.#kept.delete(oldest)
    }
    return fact
  }

  /** What is still asked about, to be asked for again. */
  inUse(): Map<string, FactItem> {
    const now = this.#clock.monotonicMs()
    const found = new Map<string, FactItem>()
    for (const [key, { item, usedAtMs }] of this.#kept) {
      if (now - usedAtMs > FORGET_MS) this.#kept.delete(key)
      else found.set(key, item)
    }
    return found
  }

  clear(): void {
    this.#kept.clear()
  }

  size(): number {
    return this.#kept.size
  }
}

const UnfoundJson = z.strictObject({ unfound: z.string() })
const SituationJson = z.object({
  freeze: z.boolean(),
  window: z.object({ id: z.string(), open: z.boolean() }).optional(),
})
const EntryJson = z.object({ name: z.string(), obligations: z.record(z.string(), z.string()) })

function factIn({ role }: FactItem, json: unknown): Fact {
  switch (role) {
    case 'subject':
    case 'resource': {
      const unfound = UnfoundJson.safeParse(json)
      return { kind: 'found', found: unfound.success ? unfound.data : unpackFound(json) }
    }
    case 'purpose':
      return { kind: 'purpose', purpose: json === null ? undefined : unpackValue(json) }
    case 'action':
      return { kind: 'floor', floor: json === null ? undefined : floorFrom(EntryJson.parse(json)) }
    case 'place': {
      const { freeze, window } = SituationJson.parse(json)
      return { kind: 'place', situation: { freeze, ...(window && { window }) } }
    }
    case 'bootstrap':
      return { kind: 'bootstrap', bootstrap: z.boolean().parse(json) }
  }
  return role satisfies never
}

/** Where a decider's facts come from: of things outside the record what is said of them, by the same rules; of the record what was sent. */
export function syncedSources(record: SyncedRecord, set: PolicySet): Sources {
  const vocabulary = vocabularyOf(set)
  const outside = (named: Named, role: 'subject' | 'resource') => {
    const type = vocabulary.typeOf(named.type)
    return type === undefined || isOfRecord(type)
      ? undefined
      : vouchedFor({ vocabulary }, set.schema, type, named, role)
  }
  const inside = async (item: FactItem) => {
    const fact = await record.read(item)
    return fact.kind === 'found' ? fact.found : mixedUp()
  }
  return {
    facts: {
      subject: async (named) => {
        const said = named.properties?.['proof']
        const proof = typeof said === 'string' ? said.slice(0, 32) : 'token'
        return outside(named, 'subject') ?? inside({ role: 'subject', type: named.type, id: named.id, proof })
      },
      resource: async (named) =>
        outside(named, 'resource') ?? inside({ role: 'resource', type: named.type, id: named.id }),
      bootstrap: async () => {
        const fact = await record.read({ role: 'bootstrap' })
        return fact.kind === 'bootstrap' ? fact.bootstrap : mixedUp()
      },
    },
    purpose: async (id, targetId, action) => {
      const fact = await record.read({ role: 'purpose', id, targetId: targetId ?? null, action })
      return fact.kind === 'purpose' ? fact.purpose : mixedUp()
    },
    floor: async (id) => {
      if (!isPrivileged(set, id)) return undefined
      const fact = await record.read({ role: 'action', id })
      return fact.kind === 'floor' ? fact.floor : mixedUp()
    },
    situation: async ({ target, environment }) => {
      const fact = await record.read({ role: 'place', target, environment })
      return fact.kind === 'place' ? fact.situation : mixedUp()
    },
  }
}

function mixedUp(): never {
  throw new Error('a fact of another kind was kept')
}
