/** Decisions of the compiled policy engine beside the engine it must equal: one process, one core. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openCompiledEngine, type CompiledEngine } from '../../src/policy/compiled/engine.ts'
import { openCedarEngine, type Engine, type EvaluationRequest } from '../../src/policy/evaluate.ts'
import type { PolicySet } from '../../src/policy/policy-set.ts'
import { rounded, timed, type Latency } from './latency.ts'
import { entitiesOf, policySet, questionOf } from './world.ts'

const POLICIES = [10, 100, 1000, 10_000] as const
const ENTITIES = [4, 100] as const
/** Different questions asked in turn, so that no engine lives off the last one. */
const QUESTIONS = 64

type Row = {
  readonly policies: number
  readonly entities: number
  readonly compiled: Latency
  /** The compiled engine with its entities given, and checked, with every question. */
  readonly given: Latency
  readonly wasm: Latency
  readonly ratio: number
}
type SetRow = {
  readonly policies: number
  readonly readSeconds: number
  readonly compileSeconds: number
  readonly longestBlockMs: number
  readonly compiledMb: number
}

/** Measures, prints its table as it goes, and returns the figures. */
export async function measureEngine(seconds: number) {
  const rows: Row[] = []
  const sets: SetRow[] = []
  for (const policies of POLICIES) {
    const startedAt = performance.now()
    const set = policySet(policies)
    const readSeconds = (performance.now() - startedAt) / 1000
    const { engine, ...measured } = await compileMeasured(set)
    sets.push({ policies, readSeconds: rounded(readSeconds), ...measured })
    using compiled = engine
    using reference = openCedarEngine(set)
    for (const entities of ENTITIES) {
      const row = measure({ policies, entities, seconds, compiled, reference })
      rows.push(row)
      console.log(line(row))
    }
  }
  return { rows, sets, flat: report(rows, sets) }
}

type Measured = {
  readonly policies: number
  readonly entities: number
  readonly seconds: number
  readonly compiled: CompiledEngine
  readonly reference: Engine
}

function measure({ policies, entities, seconds, compiled, reference }: Measured): Row {
  const world = entitiesOf(entities, policies)
  const questions = Array.from({ length: QUESTIONS }, (_, at) => questionOf(at, world))
  const prepared = compiled.prepare(world)
  mustAgree(questions, compiled, reference)
  const ofCompiled = timed(questions, seconds, (question) => compiled.evaluateIn(prepared, question))
  const given = timed(questions, seconds / 4, (question) => compiled.evaluate(question))
  const wasm = timed(questions, seconds, (question) => reference.evaluate(question))
  if (compiled.fallbacks() > 0) throw new Error('The compiled engine asked the reference engine: nothing was compared.')
  return {
    policies,
    entities,
    compiled: ofCompiled,
    given,
    wasm,
    ratio: Math.round(ofCompiled.perSecond / wasm.perSecond),
  }
}

/** A faster answer would be worth nothing if it were another. */
function mustAgree(questions: readonly EvaluationRequest[], compiled: Engine, reference: Engine): void {
  let permitted = 0
  for (const question of questions.slice(0, 16)) {
    const [ours, theirs] = [compiled, reference].map((engine) => {
      const { decision, determining, errors } = engine.evaluate(question)
      return JSON.stringify([decision, determining.map(({ id }) => id).sort(), errors.length])
    })
    if (ours !== theirs) throw new Error(`The engines differ: ${ours} and ${theirs}`)
    if (ours?.startsWith('[true')) permitted += 1
  }
  if (permitted === 0 || permitted === 16) throw new Error('All questions have one answer.')
}

async function compileMeasured(
  set: PolicySet,
): Promise<{ engine: CompiledEngine } & Omit<SetRow, 'policies' | 'readSeconds'>> {
  const before = heapBytes()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const startedAt = performance.now()
  const engine = await openCompiledEngine(set)
  const compileSeconds = (performance.now() - startedAt) / 1000
  delay.disable()
  // The sampler's own millisecond is not a block.
  const longestBlockMs = Math.max(0, delay.max / 1_000_000 - 1)
  return {
    engine,
    compileSeconds: rounded(compileSeconds),
    longestBlockMs: rounded(longestBlockMs),
    compiledMb: rounded((heapBytes() - before) / 2 ** 20),
  }
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

function line({ policies, entities, compiled, given, wasm, ratio }: Row): string {
  const us = ({ p50Us, p99Us }: Latency) => `${p50Us}/${p99Us} µs`
  return [
    `${String(policies).padStart(6)} policies ${String(entities).padStart(4)} entities`,
    `compiled ${String(compiled.perSecond).padStart(8)}/s ${us(compiled)}`,
    `entities given ${String(given.perSecond).padStart(7)}/s`,
    `wasm ${String(wasm.perSecond).padStart(6)}/s ${us(wasm)}`,
    `${ratio} times`,
  ].join('   ')
}

function report(rows: readonly Row[], sets: readonly SetRow[]): number {
  for (const { policies, readSeconds, compileSeconds, longestBlockMs, compiledMb } of sets) {
    console.log(
      `${String(policies).padStart(6)} policies: read and validated in ${readSeconds} s, compiled in ${compileSeconds} s, ` +
        `longest block ${longestBlockMs} ms, ${compiledMb} MB`,
    )
  }
  const of = (policies: number, entities: number) =>
    rows.find((row) => row.policies === policies && row.entities === entities)
  const flat = (of(10, 100)?.compiled.perSecond ?? 0) / (of(10_000, 100)?.compiled.perSecond ?? 1)
  const goals: [string, number | undefined, string][] = [
    [
      'µs per decision, 10,000 policies, 100 entities',
      1_000_000 / (of(10_000, 100)?.compiled.perSecond ?? 1),
      'goal < 1',
    ],
    ['times slower at 10,000 policies than at 10', flat, 'goal flat'],
    ['times wasm, 100 policies, 4 entities', of(100, 4)?.ratio, 'goal >= 500'],
    ['times wasm, 1,000 policies, 4 entities', of(1000, 4)?.ratio, 'goal >= 2000'],
  ]
  for (const [name, value, goal] of goals) console.log(`${name.padEnd(52)} ${rounded(value ?? Number.NaN)}  ${goal}`)
  return rounded(flat)
}
