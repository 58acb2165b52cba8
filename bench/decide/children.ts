import { fork } from 'node:child_process'
import { join } from 'node:path'
import { asked, ended } from '../support/child.ts'
import type { Ask, Simulated, SiteReady, Statement, Told } from './messages.ts'

/** A server in a process of its own. */
export type Measured = AsyncDisposable & {
  /** What its process has used of the processor, in microseconds. */
  cpuUs(): Promise<number>
}
export type MeasuredSite = Measured &
  SiteReady & {
    /** Observations that are durable in the ledger. */
    entries(): Promise<number>
    /** Statements its process sends to the database while `work` runs. For after the measurement: counting stays. */
    statementsOf(work: () => Promise<unknown>): Promise<readonly Statement[]>
    /** Other policies over what its ledger holds. */
    simulate(): Promise<Simulated>
  }

/** A whole node. `profile` is a folder for what its process spends its time on. */
export async function startSite(folder: string, profile: string | undefined): Promise<MeasuredSite> {
  const execArgv = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
  const child = fork(join(import.meta.dirname, 'site-process.ts'), { execArgv })
  const { ready } = await asked<SiteReady>(child, { folder })
  const ask = async (what: Ask) => (await asked<Told>(child, what)).told
  return {
    ready,
    cpuUs: async () => Number(await ask('cpu')),
    entries: async () => Number(await ask('entries')),
    async statementsOf(work) {
      await ask('count')
      await work()
      const told = await ask('counted')
      if (typeof told === 'number' || 'longestBlockMs' in told) throw new Error('nothing was counted')
      return told
    },
    async simulate() {
      const told = await ask('simulate')
      if (typeof told === 'number' || !('longestBlockMs' in told)) throw new Error('nothing was simulated')
      return told
    },
    [Symbol.asyncDispose]: () => ended(child),
  }
}

/** A bare Fastify. */
export async function startEcho(tls: { key: string; cert: string }): Promise<Measured & { readonly port: number }> {
  const child = fork(join(import.meta.dirname, 'echo-process.ts'))
  const { port } = await asked<{ port: number }>(child, tls)
  return {
    port,
    cpuUs: async () => Number((await asked<Told>(child, 'cpu')).told),
    [Symbol.asyncDispose]: () => ended(child),
  }
}
