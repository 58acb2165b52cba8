import type pg from 'pg'
import { withKey } from '../../../demo/database-client.ts'
import { enrol, redeem } from '../../../demo/people.ts'
import { Change, requestAccess, type AccessRequest } from '../../../src/access/contract.ts'
import { updateTarget } from '../../../src/catalog/contract.ts'
import type { Client } from '../../../src/cli/client.ts'
import {
  activateIdentity,
  attestOwner,
  enrolIdentity,
  registerIdentity,
  suspendIdentity,
} from '../../../src/identities/contract.ts'
import { listSessions } from '../../../src/sessions/contract.ts'
import type { Installation, Site } from '../../support/installation.ts'
import { eventually } from '../../support/eventually.ts'

/** What the rows call on and with. */
export type Stage = Installation & {
  /** A site where nobody but the founder is enrolled. */
  readonly young: Site & { readonly ada: Client }
  /** A person in no team. */
  readonly mallory: Client
  /** A workload with an attested owner and a bare token. */
  readonly drone: Client
  /** Somebody whose identity is suspended. */
  readonly gone: Client
  name(): string
  person(isActive?: boolean): Promise<string>
  workload(): Promise<string>
  /** What Bob gets at once: he reads production for a purpose. */
  granted(more?: Readonly<Record<string, unknown>>): Promise<string>
  /** What Carol asks and Bob has to approve. */
  pending(): Promise<AccessRequest>
  /** A call of Bob's that Carol may approve: the shop's database gets another rank. */
  change(): Promise<Change>
  /** A connection under a grant, open until it is ended. */
  session(): Promise<{ readonly id: string; readonly grantId: string; readonly client: pg.Client }>
}

export async function stageOn(found: Installation, young: Stage['young']): Promise<Stage> {
  const { server, cast, door } = found
  const { ada, bob, carol } = cast
  const mallory = await enrol(server, ada, { kind: 'human', name: 'mallory', profile: 'person' })
  const gone = await enrol(server, ada, { kind: 'human', name: 'gone', profile: 'person' })
  await ada.ask(suspendIdentity, { params: { identity: 'gone' }, input: { reason: 'left the company' } })
  let names = 0
  const name = () => `made-${(names += 1)}`
  const workload = async () => {
    const made = { kind: 'workload', name: name(), profile: 'service', ownerTeam: 'shop', owner: 'bob' }
    return (await ada.ask(registerIdentity, { input: made })).name
  }
  const granted: Stage['granted'] = async (more) => {
    const { grantId } = await bob.ask(requestAccess, { input: { ...READ, ...more } })
    return grantId ?? ''
  }
  const droneName = await workload()
  await bob.ask(attestOwner, { params: { identity: droneName } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: droneName }, input: {} })
  return {
    ...found,
    young,
    mallory,
    gone,
    drone: await redeem(server, secret),
    name,
    person: async (isActive = true) => {
      const made = await ada.ask(registerIdentity, { input: { kind: 'human', name: name(), profile: 'person' } })
      if (isActive) await ada.ask(activateIdentity, { params: { identity: made.name } })
      return made.name
    },
    workload,
    granted,
    pending: () => carol.ask(requestAccess, { input: ADMIN }),
    change: async () => {
      const given = {
        params: { target: 'shop-db' },
        input: { businessService: 'shop' },
        requestApproval: 'it has a name',
      }
      return Change.parse(await bob.call(updateTarget, given))
    },
    session: async () => {
      const grantId = await granted()
      const client = await withKey(bob, door, grantId)
      await client.query(`select customer from shop.orders where customer = 'customer-7'`)
      const id = await eventually(async () => {
        const { items } = await bob.ask(listSessions, { query: { grantId } })
        return items[0]?.id
      })
      return { id, grantId, client }
    },
  }
}

export const READ = { target: 'shop-db', account: 'app', actions: ['postgres.read'], purpose: 'shop-operations' }
const ADMIN = { ...READ, actions: ['postgres.privilege'], reason: 'A role needs to read the orders.' }
