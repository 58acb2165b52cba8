/**
 * The compiled policy engine beside Cedar itself.
 *
 *     npm run conform -- cedar --fuzz 1000000 [--seed 1]     generated questions, both engines asked
 *     npm run conform -- cedar --from <folder>               a checkout of cedar-policy/cedar-integration-tests: what it says must be answered
 *
 * Fails when a single answer differs.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { seededChoices } from '../test/support/cedar/choices.ts'
import { compareWorld, newTally } from '../test/support/cedar/differential.ts'
import { runCorpus } from './cedar-corpus/run.ts'

/** Of each world. Many questions about one, since parsing is what costs. */
const SIZES = { policies: 12, stores: 4, requests: 25 }
const MAX_DIFFERENCES = 5
const REQUESTS_BETWEEN_LINES = 100_000

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: { fuzz: { type: 'string' }, seed: { type: 'string' }, from: { type: 'string' } },
  })
  if (values.fuzz === undefined && values.from === undefined) {
    console.error('usage: npm run conform -- cedar --fuzz <requests> [--seed <n>] | --from <folder>')
    process.exitCode = 2
    return
  }
  if (values.from !== undefined) await runCorpus(values.from)
  if (values.fuzz !== undefined) fuzz(Number(values.fuzz), Number(values.seed ?? randomInt(2 ** 31)))
}

function fuzz(requests: number, seed: number): void {
  console.log(`seed ${seed}`)
  const tally = newTally()
  const startedAt = performance.now()
  let worlds = 0
  let next = REQUESTS_BETWEEN_LINES
  while (tally.requests < requests && tally.differences.length < MAX_DIFFERENCES) {
    // Each world has a number of its own, so that one can be made again without those before it.
    compareWorld(seededChoices(seed + worlds), SIZES, tally)
    worlds += 1
    if (tally.requests < next) continue
    next += REQUESTS_BETWEEN_LINES
    console.log(`${tally.requests} requests, ${tally.differences.length} different`)
  }
  const seconds = (performance.now() - startedAt) / 1000
  for (const difference of tally.differences) console.error(difference)
  const { differences, ...counts } = tally
  const result = {
    conform: 'cedar',
    kind: 'fuzz',
    seed,
    worlds,
    ...counts,
    different: differences.length,
    requestsPerSecond: Math.round(tally.requests / seconds),
  }
  console.log(`RESULT ${JSON.stringify(result)}`)
  if (differences.length > 0) process.exitCode = 1
}
