import { z } from 'zod'
import type { Soon } from '../../kernel/soon.ts'
import type { Observation } from '../../ledger/ledger.ts'
import type { Facts, Found, Named } from '../authzen/facts.ts'
import { vocabularyOf } from '../authzen/vocabulary.ts'
import type { DecisionFacts, Question } from '../decide.ts'
import type { PolicyValue } from '../entity.ts'
import type { Obligations } from '../obligations.ts'
import { printed, type Fingerprint } from '../observed.ts'
import type { PolicySet } from '../policy-set.ts'
import { contextAttributes, fittedAttributes, isAction } from '../typing.ts'

const Ref = z.object({ type: z.string(), id: z.string() })

/** A recorded decision, read back. */
export const Recorded = z.object({
  decided: z.enum(['permit', 'owed', 'deny']),
  asked: z.string(),
  chain: z.array(Ref.extend({ proof: z.string().nullable() })).min(1),
  on: Ref,
  context: z.record(z.string(), z.json()),
  isWhole: z.boolean(),
})
export type Recorded = z.output<typeof Recorded>

/** A recorded decision ready to be asked again, on the record as it stands now. */
export type Recalled = {
  readonly question: Question
  readonly facts: Omit<DecisionFacts, 'decisionId' | 'now' | 'epoch'>
}

/** Why one cannot be asked again. */
export const NOT_ASKED = {
  form: 'it was recorded in another form',
  context: 'its context held words of others, which are not kept',
  action: 'its action is not one of these policies any more',
  outside: 'it is about somebody or something outside the record',
  gone: 'who or what it is about is gone from the record',
} as const
export type WhyNot = keyof typeof NOT_ASKED

export type RecallNeeds = { readonly fingerprint: Fingerprint }

/** Where facts come from when something is asked again. */
export type Circumstances = {
  readonly facts: Facts
  readonly floorOf: (action: string) => Soon<Obligations | undefined>
  /** Freeze and window at a place at a time; what was recorded of them counts where this is left out. */
  readonly situation?: (
    place: { readonly target: string; readonly environment: string },
    at: Date,
  ) => Readonly<Record<string, PolicyValue>>
}

/** The decision of an observation, or undefined for one of another form. */
export function recordedIn(observation: Observation): Recorded | undefined {
  return Recorded.safeParse(observation.facts).data
}

/** The question of a recorded decision with today's facts. */
export async function recall(
  needs: RecallNeeds,
  { facts, floorOf, situation }: Circumstances,
  set: PolicySet,
  { recorded, lastAt }: { readonly recorded: Recorded; readonly lastAt: Date },
): Promise<Recalled | WhyNot> {
  const { schema } = set
  if (!recorded.isWhole) return 'context'
  if (!isAction(schema, recorded.asked)) return 'action'
  const names = [...recorded.chain, recorded.on].map((ref) => nameOf(needs, set, ref))
  if (names.some((name) => name === undefined)) return 'outside'
  const [subject, ...others] = names.filter((name) => name !== undefined)
  const on = others.pop()
  if (!subject || !on) return 'form'
  const chain: Found[] = []
  for (const [at, name] of [subject, ...others].entries()) {
    const found = await facts.subject({ ...name, properties: { proof: recorded.chain[at]?.proof ?? 'token' } })
    if ('unfound' in found) return 'gone'
    chain.push(found)
  }
  const resource = await facts.resource(on)
  const [first, ...rest] = chain
  if (!first || 'unfound' in resource) return 'gone'
  const floor = await floorOf(recorded.asked)
  const { window, ...kept }: Record<string, PolicyValue> = fittedAttributes(contextAttributes(schema), recorded.context)
  const context: Record<string, PolicyValue> =
    situation && resource.place
      ? { ...kept, ...situation(resource.place, lastAt) }
      : { ...kept, ...(window !== undefined && { window }) }
  return {
    question: {
      subject: first.ref,
      onBehalfOf: rest.map(({ ref }) => ref),
      action: { name: recorded.asked },
      resource: resource.ref,
      context,
    },
    facts: {
      entities: [...chain.flatMap(({ entities }) => entities), ...resource.entities],
      ...(floor && { floor }),
    },
  }
}

/** Of the record by its id; of a thing that the vocabulary lists by its fingerprint; of anything else nothing. */
function nameOf({ fingerprint }: RecallNeeds, set: PolicySet, { type, id }: z.output<typeof Ref>): Named | undefined {
  if (!id.startsWith('print:')) return { type, id }
  const listed = vocabularyOf(set).listed(type) ?? new Map<string, unknown>()
  const found = [...listed.keys()].find((known) => printed(fingerprint, { type, id: known }) === id)
  return found === undefined ? undefined : { type, id: found }
}
