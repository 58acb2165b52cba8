import { finishGrant } from '../../../src/access/contract.ts'
import { listLeases, type Lease } from '../../../src/credentials/contract.ts'
import { listEntries } from '../../../src/ledger/contract.ts'
import { newKeyPair, opensshPublicKey } from '../../../src/kernel/key-pair.ts'
import { readSession } from '../../../src/sessions/contract.ts'
import type { Client } from '../../../src/cli/client.ts'
import { eventually } from '../../support/eventually.ts'
import type { Asked, Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const WHY = { reason: 'because the test says so' }

/** Leases, sessions and the ledger: what was done, and the proof of it. */
export function evidenceRows(stage: Stage): Rows {
  return { ...leaseRows(stage), ...spiffeRows(stage), ...sshRows(stage), ...sessionRows(stage), ...ledgerRows(stage) }
}

function leaseRows(stage: Stage): Rows {
  const { cast, mallory, drone, production } = stage
  const { ada, bob } = cast
  const leaseOf = (grantId: string, state?: Lease['state']) =>
    eventually(async () => {
      const { items } = await bob.ask(listLeases, { query: { grantId, ...(state && { state }) } })
      return items[0] && { params: { lease: items[0].id } }
    })
  const live = async () => leaseOf((await stage.session()).grantId)
  return {
    'lease.list': { done: () => ({ by: bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'lease.read': {
      done: async () => ({ by: bob, given: await live() }),
      refused: async () => ({ by: drone, given: await live() }),
      as: 'not-permitted',
    },
    'lease.retry': {
      done: async () => {
        const { grantId } = await stage.session()
        await production.cluster.stop()
        await bob.ask(finishGrant, { params: { grant: grantId } })
        return { by: ada, given: await leaseOf(grantId, 'ending') }
      },
      undo: () => production.cluster.restart(),
      refused: async () => ({ by: mallory, given: await live() }),
      as: 'not-permitted',
    },
  }
}

function sshRows(stage: Stage): Rows {
  const { cast, mallory, drone, nobody } = stage
  const signed = async (by: Client) => {
    const publicKey = opensshPublicKey(await newKeyPair())
    return { by, given: { params: { grant: await stage.hosted() }, input: { publicKey, command: 'uptime' } } }
  }
  return {
    'credential.issue': {
      done: async () => ({ by: drone, given: { params: { grant: await stage.lent() }, input: {} } }),
      refused: async () => ({ by: mallory, given: { params: { grant: await stage.lent() }, input: {} } }),
      as: 'not-permitted',
    },
    'ssh-certificate.issue': { done: () => signed(drone), refused: () => signed(mallory), as: 'not-permitted' },
    'ssh-authority.list': { done: () => ({ by: cast.bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'ssh-authority.rotate': {
      done: () => ({ by: cast.ada, given: { input: WHY } }),
      refused: () => ({ by: cast.bob, given: { input: WHY } }),
      as: 'not-permitted',
    },
    'ssh-authority.revoked': {
      done: () => ({ by: nobody }),
      refused: () => ({ by: nobody, given: { query: { serial: '1' } } }),
      as: 'invalid-input',
    },
  }
}

function spiffeRows({ cast, drone, droneName, nobody }: Stage): Rows {
  const svid = async (by: Client) => {
    const { publicKey } = await newKeyPair()
    return { by, given: { params: { identity: droneName }, input: { publicKey } } }
  }
  const jwt = (by: Client) => ({ by, given: { params: { identity: droneName }, input: { audience: ['db'] } } })
  return {
    'svid.issue': { done: () => svid(drone), refused: () => svid(cast.ada), as: 'not-permitted' },
    'jwt-svid.issue': { done: () => jwt(drone), refused: () => jwt(cast.ada), as: 'not-permitted' },
    'spiffe.rotate': {
      done: () => ({ by: cast.ada, given: { input: WHY } }),
      refused: () => ({ by: cast.bob, given: { input: WHY } }),
      as: 'not-permitted',
    },
    'spiffe.bundle': {
      done: () => ({ by: nobody }),
      refused: () => ({ by: nobody, given: { query: { kind: 'jwt' } } }),
      as: 'invalid-input',
    },
  }
}

function sessionRows(stage: Stage): Rows {
  const { cast, mallory, drone } = stage
  const { ada, bob, erin } = cast
  const over = async () => {
    const { id, client } = await stage.session()
    await client.end()
    const given = { params: { session: id } }
    await eventually(async () => (await bob.ask(readSession, given)).endedAt ?? undefined)
    return given
  }
  const live = async () => ({ params: { session: (await stage.session()).id } })
  const evidence = (asked: (by: Client) => Promise<Asked>, stranger = mallory): Row => ({
    done: () => asked(erin),
    refused: () => asked(stranger),
    as: 'not-permitted',
  })
  return {
    'session.list': { done: () => ({ by: bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'session.read': {
      done: async () => ({ by: bob, given: await over() }),
      refused: async () => ({ by: drone, given: await over() }),
      as: 'not-permitted',
    },
    'session.end': evidence(async (by) => ({ by, given: { ...(await live()), input: WHY } })),
    'session.play': evidence(async (by) => ({ by, given: await over() })),
    'session.reveal': evidence(async (by) => ({ by, given: { ...(await over()), input: WHY } }), ada),
    'session.follow': evidence(async (by) => {
      const { id, client } = await stage.session()
      return { by, given: { params: { session: id } }, onFirstLine: () => client.end() }
    }),
    'session.verify': evidence(async (by) => ({ by, given: await over() })),
  }
}

function ledgerRows(stage: Stage): Rows {
  const { cast, drone } = stage
  const { bob, erin } = cast
  const entry = () =>
    eventually(async () => {
      const { items } = await erin.ask(listEntries, { query: { order: 'oldest', limit: 1 } })
      return items[0]?.position === null ? undefined : { params: { entry: String(items[0]?.id) } }
    })
  /** The first entry alone: a tile that is there once anything is signed. */
  const signed = async (more: object) => {
    await entry()
    return { params: { log: '1', tile: '000.p/1', ...more } }
  }
  /** What proves without showing: for every person. */
  const proof = (given: () => Promise<object> | object): Row => ({
    done: async () => ({ by: bob, given: await given() }),
    refused: async () => ({ by: drone, given: await given() }),
    as: 'not-permitted',
  })
  /** What shows: for its keepers. */
  const content = (given: () => Promise<object> | object): Row => ({
    done: async () => ({ by: erin, given: await given() }),
    refused: async () => ({ by: bob, given: await given() }),
    as: 'not-permitted',
  })
  return {
    'ledger.list': content(() => ({})),
    'ledger.read': content(entry),
    'ledger.prove': proof(entry),
    'ledger.checkpoint': proof(() => ({})),
    'ledger.key': proof(() => ({})),
    'ledger.note': proof(() => ({ params: { log: '1' } })),
    'ledger.tile': proof(() => signed({ level: '0' })),
    'ledger.bundle': content(() => signed({})),
    'ledger.export': content(() => ({})),
    'ledger.reveal': content(async () => ({ ...(await entry()), input: WHY })),
  }
}
