import { readFile } from 'node:fs/promises'
import {
  awsKeyRotator,
  countAlarms,
  countObligations,
  countRotations,
  keycloakSecretRotator,
  ldapLoginRotator,
  mysqlLoginRotator,
  postgresLoginRotator,
  runRotations,
  type CredentialNeeds,
  type RotationNeeds,
  type RunningRotations,
} from '../credentials/credentials.ts'
import { mostDaysBy, type Standard } from '../governance/governance.ts'
import type { Teams } from '../identities/identities.ts'
import { keptAt } from '../inventory/inventory.ts'
import { openEgress } from '../kernel/egress.ts'
import { every } from '../kernel/timer.ts'
import { notSeenBy } from './consumers.ts'
import type { DomainParts } from './parts.ts'

/** How often the open ones are counted for the metrics. */
const COUNT_MS = 5_000

export type OpenRotations = { readonly needs: RotationNeeds } & Pick<RunningRotations, 'wake'>

type Base = Pick<CredentialNeeds, 'clock' | 'random' | 'ledger' | 'seal' | 'log'>

/** What rotates, and by which rules. */
export async function rotationNeeds(
  { config }: Pick<DomainParts, 'config'>,
  base: Base,
  { teams, standard }: { readonly teams: Teams; readonly standard: Standard },
): Promise<RotationNeeds> {
  const { caFile, allow } = config.egress
  const egress = openEgress({ allow, ca: caFile === undefined ? undefined : await readFile(caFile, 'utf8') })
  return {
    ...base,
    rotators: [
      postgresLoginRotator,
      mysqlLoginRotator,
      ldapLoginRotator,
      awsKeyRotator({ egress, clock: base.clock }),
      keycloakSecretRotator({ egress }),
    ],
    egress,
    hasTeam: (name) => teams.has(name),
    mostDaysOf: mostDaysBy(standard),
    keepersOf: keptAt,
    notSeen: notSeenBy(base.clock),
  }
}

/** What carries rotations on, on a worker; on any other node nothing does. */
export function openRotations(
  { config, ground, log, metrics, stop }: DomainParts,
  needs: RotationNeeds,
): OpenRotations {
  if (!config.node.roles.includes('worker')) return { needs, wake: () => undefined }
  const { db } = ground
  const rotations = runRotations(db, needs)
  const open = metrics.gauge('reeve_rotations_open', 'Rotations that are not over, by who should know of it.', [
    'escalation',
  ])
  const ages = metrics.gauge('reeve_obligations_open', 'What is not yet proven dead, by how long it is open.', ['age'])
  let alarms = 0
  metrics.gauge('reeve_rotation_alarms', 'Logins given secret after secret that nobody takes up.', [], () => alarms)
  const count = async () => {
    for (const [escalation, many] of Object.entries(await countRotations(db))) open.set({ escalation }, many)
    for (const [age, many] of Object.entries(await countObligations(db, needs))) ages.set({ age }, many)
    alarms = await countAlarms(db)
  }
  const timer = every(COUNT_MS, () => {
    count().catch((error: unknown) => log.warn({ err: error }, 'rotations could not be counted'))
  })
  stop.add('rotations', {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await rotations[Symbol.asyncDispose]()
    },
  })
  return { needs, wake: () => rotations.wake() }
}
