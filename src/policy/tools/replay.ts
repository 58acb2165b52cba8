import type { Clock } from '../../kernel/clock.ts'
import { sha256Latin1 } from '../../kernel/crypto.ts'
import type { Db } from '../../kernel/db.ts'
import { Instant } from '../../kernel/instant.ts'
import { newId } from '../../kernel/random.ts'
import type { Soon } from '../../kernel/soon.ts'
import { nextTurn } from '../../kernel/timer.ts'
import { observationsOf } from '../../ledger/ledger.ts'
import type { EvaluateNeeds } from '../authzen/evaluate.ts'
import { factsFor, floorOf } from '../authzen/question.ts'
import type { Calendar } from '../calendar.ts'
import { decide, type Decision } from '../decide.ts'
import type { Engine } from '../evaluate.ts'
import { decisionMade } from '../events.ts'
import type { Obligations } from '../obligations.ts'
import type { PolicySet } from '../policy-set.ts'
import { recordFactsFor } from '../record-facts.ts'
import type { World } from '../versions/kind.ts'
import { recall, recordedIn, type Circumstances, type Recalled, type Recorded } from './recall.ts'
import { outcomeOf, Tally, type Outcome } from './tally.ts'

/** Decisions of one simulation; a busy installation has more in a week, and the newest say most. */
const MAX_DECISIONS = 20_000
/** Everybody else waits no longer than this for the event loop. */
const TURN_MS = 1

/** Where the facts of today come from. */
export type ReplayNeeds = Pick<EvaluateNeeds, 'teams' | 'fingerprint' | 'situation' | 'random'> & {
  readonly clock: Clock
}

type Replayed = ReturnType<Tally['result']> & { readonly decisions: number; readonly isCut: boolean }

/**
 * Asks what was decided since an instant again: by the policies, teams, calendar and catalog that decide now, and by a world in which some of them
 * are others, both on the record as it stands now. What takes longer than `withinMs` is cut, and that is said.
 */
export async function replay(
  db: Db,
  needs: ReplayNeeds,
  now: Engine,
  candidate: World,
  bounds: { readonly since: Date; readonly withinMs: number },
): Promise<Replayed> {
  const pace = new Pace(needs.clock, bounds.withinMs)
  const [before, after] = sidesOf(db, needs, now.set, candidate)
  const tally = new Tally()
  // By the hash of each question: what was asked stays no longer than it is asked again, or the collector would hold everybody else up with it.
  const known = new Map<string, Outcome>()
  let decisions = 0
  for await (const observation of observationsOf(db, decisionMade.kind, bounds.since)) {
    if (decisions >= MAX_DECISIONS || pace.isOver()) return { ...tally.result(), decisions, isCut: true }
    decisions += 1
    await pace.turn()
    const recorded = recordedIn(observation)
    const key = recorded ? keyOf(recorded, candidate.calendar ? observation.at : null) : ''
    const outcome = known.get(key) ?? (recorded ? await askAgain(recorded, observation.at) : ODD)
    if (recorded) known.set(key, outcome)
    tally.add(outcome)
  }
  return { ...tally.result(), decisions, isCut: false }

  async function askAgain(recorded: Recorded, at: string): Promise<Outcome> {
    const asked = { recorded, lastAt: Instant.parse(at) }
    const was = await recall(needs, before, now.set, asked)
    if (typeof was === 'string') return { why: was }
    const is = after === before ? was : await recall(needs, after, now.set, asked)
    if (typeof is === 'string') return { why: is }
    const [old, fresh] = [decideAgain(needs, now, was), decideAgain(needs, candidate.engine ?? now, is)]
    return outcomeOf(asked, old, fresh, was.question)
  }
}

const ODD: Outcome = { why: 'form' }

/** Windows and freezes are of a moment, so that is part of the question where they are what changes. */
function keyOf({ chain, asked, on, context, decided }: Recorded, at: string | null): string {
  return sha256Latin1(JSON.stringify([chain, asked, on, context, decided, at]))
}

/** Gives up the event loop every now and then, and knows when the time is over. */
class Pace {
  readonly #clock: Clock
  readonly #end: number
  #turn: number

  constructor(clock: Clock, withinMs: number) {
    this.#clock = clock
    this.#turn = clock.monotonicMs()
    this.#end = this.#turn + withinMs
  }

  isOver(): boolean {
    return this.#clock.monotonicMs() > this.#end
  }

  async turn(): Promise<void> {
    if (this.#clock.monotonicMs() - this.#turn < TURN_MS) return
    await nextTurn()
    this.#turn = this.#clock.monotonicMs()
  }
}

/** Where the facts come from on both sides; one where they are the same. */
function sidesOf(db: Db, needs: ReplayNeeds, set: PolicySet, candidate: World): [Circumstances, Circumstances] {
  const floors = new Map<string, Soon<Obligations | undefined>>()
  const floorNow = (action: string) => {
    const known = floors.get(action) ?? floorOf(recordFactsFor(db, undefined), set, action)
    floors.set(action, known)
    return known
  }
  const { teams, calendar, floorOf: floorThen } = candidate
  const facts = factsFor(db, needs, set)
  const before: Circumstances = {
    facts,
    floorOf: floorNow,
    ...(calendar && { situation: (place, at) => needs.situation(place, at) }),
  }
  if (!teams && !calendar && !floorThen) return [before, before]
  const after: Circumstances = {
    facts: teams ? factsFor(db, { ...needs, teams }, set) : facts,
    floorOf: floorThen ?? floorNow,
    ...(calendar && { situation: (place, at) => situationIn(calendar, place, at) }),
  }
  return [before, after]
}

function situationIn(calendar: Calendar, place: { readonly target: string; readonly environment: string }, at: Date) {
  const window = calendar.window(place, at)
  return { freeze: calendar.isFrozen(place, at), ...(window && { window }) }
}

function decideAgain(needs: ReplayNeeds, engine: Engine, recalled: Recalled): Decision {
  return decide(engine, recalled.question, {
    ...recalled.facts,
    decisionId: newId(needs.clock, needs.random),
    now: needs.clock.now(),
    epoch: engine.set.sha256,
  })
}
