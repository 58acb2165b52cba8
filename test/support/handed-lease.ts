import { openEgress } from '../../src/kernel/egress.ts'
import { Secret } from '../../src/kernel/secret.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { kubernetesTokenWriter } from '../../src/credentials/kubernetes/writer.ts'
import { mysqlWriter } from '../../src/credentials/mysql/writer.ts'
import { openbaoWriter } from '../../src/credentials/openbao/writer.ts'
import type { LeaseWriter, Site, WrittenLease } from '../../src/credentials/writer.ts'

/** Which writer, and where its target listens: known to a test and to the processes that it kills. */
export type HandedOrder =
  | { readonly kind: 'kubernetes' | 'openbao'; readonly url: string }
  | {
      readonly kind: 'mysql'
      readonly settings: unknown
      readonly provisioner: { readonly user: string; readonly password: string }
    }

type There = {
  readonly writer: LeaseWriter
  readonly settings: unknown
  readonly provisioner: Site['provisioner']
  readonly role: string
}

function thereBy(order: HandedOrder, clock: Clock): There {
  if (order.kind === 'mysql') {
    const { user, password } = order.provisioner
    const provisioner = { user, secret: new Secret(password) }
    return { writer: mysqlWriter, settings: order.settings, provisioner, role: 'app_reader' }
  }
  const { kind, url } = order
  const egress = openEgress({ allow: ['http://127.0.0.1'] })
  const provisioner = { user: 'reeve', secret: new Secret('provisioner-token') }
  const plain = { server: url, plaintext: true }
  return kind === 'kubernetes'
    ? { writer: kubernetesTokenWriter({ egress, clock }), settings: plain, provisioner, role: 'shop/viewer' }
    : {
        writer: openbaoWriter({ egress, clock }),
        settings: { ...plain, policies: ['reader'] },
        provisioner,
        role: 'database/creds/reader',
      }
}

/** A writer whose targets are handed to holders, for the target of the world of leases: its settings and roles are put in here. */
export function handedLeaseWriter(order: HandedOrder, clock: Clock): LeaseWriter {
  const { writer, settings, provisioner, role } = thereBy(order, clock)
  const there = (site: Site): Site => ({ ...site, settings, provisioner })
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
