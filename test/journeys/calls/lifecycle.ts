import { redeem } from '../../../demo/people.ts'
import { approveChange, Change } from '../../../src/access/contract.ts'
import type { Client } from '../../../src/cli/client.ts'
import { attestOwner, enrolIdentity, readIdentity, registerIdentity } from '../../../src/identities/contract.ts'
import { transact } from '../../../src/kernel/db.ts'
import { holdCase, linkProvisionedUser, openCase } from '../../../src/lifecycle/contract.ts'
import { createUser } from '../../../src/lifecycle/scim/users.ts'
import { permitFor } from '../../support/permit.ts'
import type { Asked, Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const WHY = { reason: 'nobody needs it any more' }

/** How identities go: cases, what other systems report, vendors, and users of an identity provider. */
export function lifecycleRows(stage: Stage): Rows {
  const { cast, mallory, drone } = stage
  const { ada, bob, erin } = cast
  const opened = async () => {
    const identity = await stage.workload()
    return (await ada.ask(openCase, { params: { identity }, input: WHY })).id
  }
  const ofCase = async (by: Client, isHeld = true): Promise<Asked> => {
    const params = { case: await opened() }
    if (isHeld) await ada.ask(holdCase, { params, input: { reason: 'wait until Monday' } })
    return { by, given: { params, input: WHY } }
  }
  const reads = (given: () => Promise<NonNullable<Asked['given']>>): Row => ({
    done: async () => ({ by: bob, given: await given() }),
    refused: async () => ({ by: drone, given: await given() }),
    as: 'not-permitted',
  })
  const changes = (): Row => ({
    done: () => ofCase(ada),
    refused: () => ofCase(mallory),
    as: 'not-permitted',
  })
  const vendor = async () => {
    const name = stage.name()
    const input = { kind: 'workload', name: `${name}-bot`, profile: 'service', owner: 'bob', vendor: name }
    await ada.ask(registerIdentity, { input })
    return { vendor: name }
  }
  const link = async (by: Client): Promise<Asked> => {
    const [user, identity] = [await provisioned(stage), await stage.person()]
    return { by, given: { params: { user }, input: { identity, reason: 'is the same person' } } }
  }
  const report = (by: Client): Asked => ({
    by,
    given: {
      input: { eventId: stage.name(), type: 'ticket-closed', ticket: 'OPS-0', occurredAt: new Date().toISOString() },
    },
  })
  let forge: Promise<Client> | undefined
  return {
    'case.list': reads(async () => ({})),
    'case.read': reads(async () => ({ params: { case: await opened() } })),
    'case.open': {
      done: async () => ({ by: ada, given: { params: { identity: await stage.workload() }, input: WHY } }),
      refused: async () => ({ by: mallory, given: { params: { identity: await stage.workload() }, input: WHY } }),
      as: 'not-permitted',
    },
    'case.advance': changes(),
    'case.hold': { ...changes(), done: () => ofCase(ada, false) },
    'case.reopen': changes(),
    'lifecycle-event.report': {
      done: async () => report(await (forge ??= sender(stage))),
      refused: () => report(drone),
      as: 'not-permitted',
    },
    'lifecycle-event.list': reads(async () => ({})),
    'vendor.read': reads(async () => ({ params: await vendor() })),
    'vendor.revoke': {
      done: async () => ({ by: erin, given: { params: await vendor(), input: WHY } }),
      refused: async () => ({ by: mallory, given: { params: await vendor(), input: WHY } }),
      as: 'not-permitted',
    },
    'provisioned-user.list': reads(async () => ({})),
    'provisioned-user.link': {
      done: async () => {
        const asked = await link(ada)
        const given = { ...asked.given, requestApproval: 'the person was here before the provider' }
        const { id, boundSha256 } = Change.parse(await ada.call(linkProvisionedUser, given))
        await erin.ask(approveChange, { params: { change: id }, input: { boundSha256 } })
        return { ...asked, change: id }
      },
      refused: () => link(ada),
      as: 'approval-owed',
    },
  }
}

/** A machine that the site’s configuration lists as a sender. */
async function sender({ server, cast: { ada, bob } }: Stage): Promise<Client> {
  const input = { kind: 'machine', name: 'forge', profile: 'integration', owner: 'bob' } as const
  await ada.ask(registerIdentity, { input })
  await bob.ask(attestOwner, { params: { identity: 'forge' } })
  return redeem(server, (await ada.ask(enrolIdentity, { params: { identity: 'forge' }, input: {} })).secret)
}

/** As if the drone was an identity provider: what providers themselves do has tests of its own. */
async function provisioned(stage: Stage): Promise<string> {
  const { id } = await stage.cast.bob.ask(readIdentity, { params: { identity: stage.droneName } })
  const permit = permitFor('scim-user.create', { type: 'Workload', id }, { type: 'Provider', id })
  const { ground, domains } = stage.server
  const sent = { userName: `${stage.name()}@example.org` }
  return (await transact(ground.db, (tx) => createUser(tx, domains.lifecycle.needs, permit, sent))).id
}
