import { openEgress } from '../../src/kernel/egress.ts'
import { Secret } from '../../src/kernel/secret.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { kubernetesTokenWriter } from '../../src/credentials/kubernetes/writer.ts'
import { openbaoWriter } from '../../src/credentials/openbao/writer.ts'
import type { LeaseWriter, Site, WrittenLease } from '../../src/credentials/writer.ts'

/** Which writer, and where the stub of its target listens: known to a test and to the processes that it kills. */
export type HandedOrder = { readonly kind: 'kubernetes' | 'openbao'; readonly url: string }

/** A writer whose targets are handed to holders, for the target of the world of leases: its settings and roles are put in here. */
export function handedLeaseWriter({ kind, url }: HandedOrder, clock: Clock): LeaseWriter {
  const egress = openEgress({ allow: ['http://127.0.0.1'] })
  const writer = kind === 'kubernetes' ? kubernetesTokenWriter({ egress, clock }) : openbaoWriter({ egress, clock })
  const settings =
    kind === 'kubernetes' ? { server: url, plaintext: true } : { server: url, plaintext: true, policies: ['reader'] }
  const provisioner = { user: 'reeve', secret: new Secret('provisioner-token') }
  const there = (site: Site): Site => ({ ...site, settings, provisioner })
  const role = kind === 'kubernetes' ? 'shop/viewer' : 'database/creds/reader'
  const mapped = (lease: WrittenLease): WrittenLease => ({ ...lease, terms: { ...lease.terms, roles: [role] } })
  return {
    ...writer,
    protocol: 'postgres',
    plan: (random, planning) =>
      writer.plan(random, { ...planning, settings, terms: { ...planning.terms, roles: [role] } }),
    apply: (site, lease, making, signal) => writer.apply(there(site), mapped(lease), making, signal),
    end: (site, lease, signal) => writer.end(there(site), mapped(lease), signal),
    verify: (site, lease, signal) => writer.verify(there(site), mapped(lease), signal),
  }
}
