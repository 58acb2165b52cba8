import type { Authority } from '../kernel/ca.ts'
import type { Config } from '../kernel/config.ts'
import type { Log } from '../kernel/log.ts'
import type { Metrics } from '../kernel/metrics.ts'
import type { Stop } from '../kernel/stop.ts'
import type { Ground } from './ground.ts'

/** What there is before any domain is opened. */
export type DomainParts = {
  readonly config: Config
  readonly ground: Ground
  readonly log: Log
  readonly metrics: Metrics
  readonly stop: Stop
  readonly authority: Authority
  readonly version: string
}
