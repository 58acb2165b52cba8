import type { MachineState } from '../credentials/contract.ts'
import { readSpiffeBundle, type SpiffeBundle } from '../kernel/spiffe-bundle.ts'
import type { BundleMap } from './messages.ts'

/** What is believed of each trust domain, our own first. A bundle is for its own domain and never for another. */
export type Bundles = ReadonlyMap<string, SpiffeBundle>

const read = new WeakMap<MachineState, Bundles>()

export function bundlesOf(state: MachineState): Bundles {
  const known = read.get(state)
  if (known) return known
  const all = [{ trustDomain: state.trustDomain, bundle: state.bundle }, ...state.federated]
  const bundles = new Map<string, SpiffeBundle>()
  for (const { trustDomain, bundle } of all) {
    const found = bundles.has(trustDomain) ? undefined : readSpiffeBundle(bundle, trustDomain)
    if (found) bundles.set(trustDomain, found)
  }
  read.set(state, bundles)
  return bundles
}

/** The certificates of a domain in DER, one after the other. */
export function x509Of(bundle: SpiffeBundle | undefined): Buffer {
  return Buffer.concat(bundle?.authorities ?? [])
}

export function x509Map(bundles: Bundles, without?: string): BundleMap {
  return [...bundles].flatMap(([name, bundle]) =>
    name === without ? [] : [[`spiffe://${name}`, x509Of(bundle)] as const],
  )
}

/** JWK sets of the keys of JWT-SVIDs (Workload API §6.2.3). */
export function jwtMap(bundles: Bundles): BundleMap {
  return [...bundles].map(([name, { jwtKeys }]) => {
    const keys = jwtKeys.map((key) => ({ ...key, use: 'jwt-svid' }))
    return [`spiffe://${name}`, Buffer.from(JSON.stringify({ keys }))] as const
  })
}
