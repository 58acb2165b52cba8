import {
  countRotations,
  postgresLoginRotator,
  runRotations,
  type CredentialNeeds,
  type RotationNeeds,
  type RunningRotations,
} from '../credentials/credentials.ts'
import { every } from '../kernel/timer.ts'
import type { DomainParts } from './parts.ts'

/** How often the open ones are counted for the metrics. */
const COUNT_MS = 5_000

export type OpenRotations = { readonly needs: RotationNeeds } & Pick<RunningRotations, 'wake'>

/** What carries rotations on, on a worker; on any other node nothing does. */
export function openRotations(
  { config, ground, log, metrics, stop }: DomainParts,
  base: Omit<CredentialNeeds, 'writers'>,
): OpenRotations {
  const needs = { ...base, rotators: [postgresLoginRotator] }
  if (!config.node.roles.includes('worker')) return { needs, wake: () => undefined }
  const rotations = runRotations(ground.db, needs)
  const open = metrics.gauge('reeve_rotations_open', 'Rotations that are not over, by who should know of it.', [
    'escalation',
  ])
  const timer = every(COUNT_MS, () => {
    countRotations(ground.db).then(
      (counts) => {
        for (const [escalation, count] of Object.entries(counts)) open.set({ escalation }, count)
      },
      (error: unknown) => log.warn({ err: error }, 'rotations could not be counted'),
    )
  })
  stop.add('rotations', {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await rotations[Symbol.asyncDispose]()
    },
  })
  return { needs, wake: () => rotations.wake() }
}
