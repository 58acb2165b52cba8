import type { Account, Purpose, Target } from '../catalog/contract.ts'
import type { Evidence } from '../policy/policy.ts'
import type { Chain } from './chain.ts'

/** Everything a request asks for, resolved to records. */
export type Asked = {
  readonly chain: Chain
  readonly target: Target
  readonly account: Account
  readonly purpose: Purpose
  /** In order, each once. */
  readonly actions: readonly string[]
  readonly ticket: string | null
  readonly task: string | null
  readonly reason: string | null
  readonly ttlSeconds: number
  readonly uses: number | null
  readonly connections: number
  readonly isKeptAlive: boolean
  /** What its person freshly proved for exactly this request. */
  readonly stepUp: Evidence['stepUp']
}
