import { enrol, enrolFounder, redeem } from '../../demo/people.ts'
import type { Client } from '../../src/cli/client.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { site, type Cleaning, type Site } from './installation.ts'

/** An installation with a trust domain, a person and workloads that person answers for. */
export type SpiffeWorld = Site & {
  readonly ada: Client
  readonly bob: Client
  /** A workload with a token that is bound to a key, unless it is said otherwise. */
  workload(name: string, more?: Readonly<Record<string, unknown>>, isBound?: boolean): Promise<Client>
}

export async function spiffeWorld(
  cleaning: Cleaning,
  more: Readonly<Record<string, unknown>> = {},
): Promise<SpiffeWorld> {
  const here = await site(cleaning, more)
  const ada = await enrolFounder(here.server)
  const bob = await enrol(here.server, ada, { kind: 'human', name: 'bob', profile: 'person' })
  return {
    ...here,
    ada,
    bob,
    async workload(name, more, isBound = true) {
      const identity = { kind: 'workload', name, profile: 'service', ownerTeam: 'shop', owner: 'bob' } as const
      await ada.ask(registerIdentity, { input: { ...identity, ...more } })
      await bob.ask(attestOwner, { params: { identity: name } })
      const { secret } = await ada.ask(enrolIdentity, { params: { identity: name }, input: {} })
      return redeem(here.server, secret, {}, isBound)
    },
  }
}
