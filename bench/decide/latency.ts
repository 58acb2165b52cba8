import type { EvaluationRequest } from '../../src/policy/evaluate.ts'

/** Enough for the optimiser to have seen everything. */
const WARM_UP = 20_000
const TIMED_CALLS = 200_000

export type Latency = {
  readonly perSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly calls: number
}

/**
 * How fast, in a loop without a clock in it, by the processor time of this thread, so that a busy machine does not count; then each call by
 * itself by the wall clock, with the clock's own 0.05 µs or so.
 */
export function timed(
  questions: readonly EvaluationRequest[],
  seconds: number,
  ask: (question: EvaluationRequest) => { decision: boolean },
): Latency {
  const next = (at: number): EvaluationRequest => questions[at % questions.length] ?? raise()
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

export function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
