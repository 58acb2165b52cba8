import {
  postgresLoginRotator,
  runRotations,
  type CredentialNeeds,
  type RotationNeeds,
  type RunningRotations,
} from '../credentials/credentials.ts'
import type { DomainParts } from './parts.ts'

export type OpenRotations = { readonly needs: RotationNeeds } & Pick<RunningRotations, 'wake'>

/** What carries rotations on, on a worker; on any other node nothing does. */
export function openRotations(
  { config, ground, stop }: DomainParts,
  base: Omit<CredentialNeeds, 'writers'>,
): OpenRotations {
  const needs = { ...base, rotators: [postgresLoginRotator] }
  if (!config.node.roles.includes('worker')) return { needs, wake: () => undefined }
  const rotations = runRotations(ground.db, needs)
  stop.add('rotations', rotations)
  return { needs, wake: () => rotations.wake() }
}
