/**
 * Decisions of the compiled policy engine beside the engine it must equal, on the same policies, entities and questions. One process, one
 * core. AuthZEN over HTTP is not measured here.
 */
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openCompiledEngine, type CompiledEngine } from '../src/policy/compiled/engine.ts'
import type { Entity } from '../src/policy/entity.ts'
import { openCedarEngine, type Engine, type EvaluationRequest } from '../src/policy/evaluate.ts'
import { buildPolicySet, type PolicySet } from '../src/policy/policy-set.ts'
import { buildSchema } from '../src/policy/schema.ts'

const POLICIES = [10, 100, 1000, 10_000] as const
const ENTITIES = [4, 100] as const
/** Different questions asked in turn, so that no engine lives off the last one. */
const QUESTIONS = 64
/** Enough for the optimiser to have seen everything. */
const WARM_UP = 20_000
const TIMED_CALLS = 200_000

type Latency = { readonly perSecond: number; readonly p50Us: number; readonly p99Us: number; readonly calls: number }
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

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({ args: flags, options: { seconds: { type: 'string', default: '2' } } })
  const seconds = Number(values.seconds)
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
  report(rows, sets)
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

/**
 * How fast, in a loop without a clock in it, by the processor time of this thread, so that a busy machine does not count; then each call by
 * itself by the wall clock, with the clock's own 0.05 µs or so.
 */
function timed(
  questions: readonly EvaluationRequest[],
  seconds: number,
  ask: (question: EvaluationRequest) => { decision: boolean },
): Latency {
  const next = (at: number): EvaluationRequest => questions[at % QUESTIONS] ?? raise()
  const until = performance.now() + seconds * 1000
  let calls = 0
  for (; calls < WARM_UP && performance.now() < until; calls += 1) ask(next(calls))
  const isSlow = calls < WARM_UP
  const rounds = isSlow ? 1 : 5
  let best = 0
  let at = 0
  for (let round = 0; round < rounds; round += 1) {
    const startedAt = cpuSeconds()
    const stopAt = performance.now() + (seconds * 1000) / rounds
    let done = 0
    do {
      for (let each = 0; each < (isSlow ? 1 : 1000); each += 1) ask(next(at++))
      done += isSlow ? 1 : 1000
    } while (performance.now() < stopAt)
    best = Math.max(best, done / (cpuSeconds() - startedAt))
  }
  const single: number[] = []
  const singleUntil = performance.now() + seconds * 1000
  while (single.length < TIMED_CALLS && (single.length < 5 || performance.now() < singleUntil)) {
    const startedAt = process.hrtime.bigint()
    ask(next(at++))
    single.push(Number(process.hrtime.bigint() - startedAt) / 1000)
  }
  single.sort((a, b) => a - b)
  const quantile = (q: number) => single[Math.min(single.length - 1, Math.floor(single.length * q))] ?? Number.NaN
  return {
    perSecond: Math.round(best),
    p50Us: rounded(quantile(0.5)),
    p99Us: rounded(quantile(0.99)),
    calls: single.length,
  }
}

function cpuSeconds(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000_000
}

function raise(): never {
  throw new Error('There is no such question.')
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

/** Roles in scopes, five terms in each condition, and one forbid for everybody. */
function policySet(count: number): PolicySet {
  const base = readFileSync(join(import.meta.dirname, '../policies/schema.cedarschema'), 'utf8')
  const actions = ['read', 'change', 'admin'].map((name) => ({
    name: `postgres.${name}`,
    groups: [`privileged.${name}`],
    resources: ['Target', 'Account'],
  }))
  const policies = Array.from(
    { length: count - 1 },
    (_, at) => `
      @id("role-${at}")
      permit (principal in Reeve::Team::"team-${at}", action in Reeve::Action::"privileged.read", resource is Reeve::Target)
      when {
        principal.state == "active" && resource.tier >= principal.tier && resource.environment == "production" &&
        context.now < datetime("2030-01-01") && (context has ticket && context.ticket like "OPS-*")
      };`,
  )
  const forbid =
    '@id("freeze") forbid (principal, action, resource) when { context.freeze && resource has environment };'
  return buildPolicySet([{ name: 'bench.cedar', text: [forbid, ...policies].join('\n') }], buildSchema(base, actions))
}

/** One target; teams of the policies; people, each in one of these teams. */
function entitiesOf(count: number, policies: number): Entity[] {
  const target: Entity = {
    type: 'Target',
    id: 'orders',
    attributes: {
      id: 'orders',
      name: 'orders',
      kind: 'postgres',
      environment: 'production',
      sensitivity: 'high',
      tier: 2,
    },
  }
  const people = Array.from({ length: count - 2 }, (_, at): Entity => {
    const id = `person-${at}`
    const named = { id, name: id, profile: 'person', ownerState: 'attested', proof: 'passkey', isFounder: false }
    return {
      type: 'Person',
      id,
      attributes: { ...named, tier: 1, state: at % 4 === 3 ? 'suspended' : 'active' },
      parents: [{ type: 'Team', id: `team-${(at * 97) % (policies - 1)}` }],
    }
  })
  return [target, { type: 'Team', id: 'team-0', attributes: {} }, ...people]
}

function questionOf(at: number, entities: readonly Entity[]): EvaluationRequest {
  const context = {
    now: new Date('2026-02-03T10:00:00Z'),
    channel: 'gateway',
    requestKind: 'ordinary',
    freeze: at % 8 === 7,
    bootstrap: false,
    reasonGiven: true,
    ticket: at % 3 === 2 ? 'INC-1' : 'OPS-1234',
  }
  return {
    principal: { type: 'Person', id: `person-${at % (entities.length - 2)}` },
    action: at % 16 === 15 ? 'postgres.change' : 'postgres.read',
    resource: { type: 'Target', id: 'orders' },
    context,
    entities,
  }
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

function report(rows: readonly Row[], sets: readonly SetRow[]): void {
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
  console.log(`RESULT ${JSON.stringify({ bench: 'decide', cpus: cpus().length, rows, sets, flat: rounded(flat) })}`)
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
