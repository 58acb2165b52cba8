/**
 * Decisions. `engine`: the compiled policy engine beside the engine it must equal, on the same policies, entities and questions, in one
 * process. `http`: AuthZEN over HTTPS at a whole node, beside a bare Fastify that sends JSON back. `simulate`: other policies over recorded
 * decisions. `--only <part>` runs one of them.
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { measureEngine } from './decide/engine.ts'
import { measureHttp } from './decide/http.ts'
import { measureSimulation } from './decide/simulate.ts'

const PARTS = ['engine', 'http', 'simulate']

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      seconds: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      rate: { type: 'string', default: '5000' },
      only: { type: 'string' },
      profile: { type: 'string' },
    },
  })
  const { only, profile } = values
  if (only !== undefined && !PARTS.includes(only)) throw new Error(`--only takes ${PARTS.join(' or ')}`)
  const isWanted = (part: string) => only === undefined || only === part
  const load = loadavg()[0] ?? 0
  const seconds = Number(values.seconds)
  const size = { seconds, rounds: Number(values.rounds), rate: Number(values.rate) }
  const engine = isWanted('engine') ? await measureEngine(seconds) : undefined
  const http = isWanted('http') ? await measureHttp({ ...size, profile }) : undefined
  const simulation = isWanted('simulate') ? await measureSimulation() : undefined
  console.log(`RESULT ${JSON.stringify({ bench: 'decide', cpus: cpus().length, load, ...engine, http, simulation })}`)
}
