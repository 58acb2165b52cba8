import {
  federationRoutes,
  machineOpenRoutes,
  machineRoutes,
  refreshDue,
  trustBundle,
  type FederationNeeds,
} from '../credentials/credentials.ts'
import type { CertifyToken, IdentityNeeds, RecordedIdentities } from '../identities/identities.ts'
import type { Db } from '../kernel/db.ts'
import type { Egress } from '../kernel/egress.ts'
import type { OpenRoute, Route } from '../kernel/http/route.ts'
import type { Log } from '../kernel/log.ts'
import type { Seal } from '../kernel/seal.ts'
import type { Stop } from '../kernel/stop.ts'
import { every } from '../kernel/timer.ts'
import type { View } from '../kernel/view.ts'
import type { TokenNeeds } from '../tokens/tokens.ts'
import type { DomainParts } from './parts.ts'

type Base = Pick<IdentityNeeds, 'clock' | 'random' | 'ledger' | 'teams'> & {
  readonly db: Db
  readonly view: View
  readonly recorded: RecordedIdentities
  readonly seal: Seal
  readonly log: Log
}

export type OpenMachines = { readonly routes: readonly Route[]; readonly openRoutes: readonly OpenRoute[] }

/** Bundles of others are due by their own hints; this is how often it is looked. */
const LOOK_MS = 5_000

/** What verifies identity documents of a trust domain, our own or one that is believed. */
export function bundlesBy(
  { config, ground }: Pick<DomainParts, 'config' | 'ground'>,
  base: Omit<Base, 'view' | 'recorded'>,
): TokenNeeds['bundleOf'] {
  const { trustDomain } = config.spiffe
  return (name) => trustBundle({ ...base, keys: ground.keys, trustDomain }, name)
}

/** Machines, the workloads on them, and trust domains of others. */
export function openMachines(
  { config, ground, stop }: Pick<DomainParts, 'config' | 'ground' | 'stop'>,
  base: Base,
  { certify, egress }: { readonly certify: CertifyToken; readonly egress: Egress },
): OpenMachines {
  const { trustDomain } = config.spiffe
  const needs = { ...base, keys: ground.keys, trustDomain, certify, egress }
  if (config.node.roles.includes('worker')) following(stop, base.log, needs)
  return { routes: [...machineRoutes(needs), ...federationRoutes(needs)], openRoutes: machineOpenRoutes(needs) }
}

function following(stop: Stop, log: Log, needs: FederationNeeds): void {
  const stopping = new AbortController()
  let running: Promise<void> | undefined
  const timer = every(LOOK_MS, () => {
    running ??= refreshDue(needs, stopping.signal)
      .catch((error: unknown) => log.warn({ err: error }, 'bundles of trust domains could not be looked at'))
      .finally(() => {
        running = undefined
      })
  })
  stop.add('bundles of trust domains', {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      stopping.abort(new Error('this node stops'))
      await running
    },
  })
}
