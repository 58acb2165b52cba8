import { openClient, type Client } from '../../../src/cli/client.ts'
import { createPlacement, createTrustDomain, inviteMachine, joinMachine } from '../../../src/credentials/contract.ts'
import { activateIdentity, attestOwner, registerIdentity } from '../../../src/identities/contract.ts'
import { newKeyPair } from '../../../src/kernel/key-pair.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import type { Asked, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const BOOT = '6f2f2c34-7c1e-4c6a-9d0e-0f1f2a3b4c5d'
const WHY = { reason: 'because the test says so' }

/** Machines, what is placed on them, and trust domains of others: at the site where the founder is alone, who places without another person. */
export function machineRows(stage: Stage): Rows {
  return { ...admissionRows(stage), ...agentRows(stage), ...placementRows(stage), ...domainRows(stage) }
}

function made(stage: Stage) {
  const { ada } = stage.young
  const identity = async (kind: 'machine' | 'workload') => {
    const profile = kind === 'machine' ? 'device' : 'service'
    const input = { kind, name: stage.name(), profile, ownerTeam: 'shop', owner: 'ada' }
    await ada.ask(registerIdentity, { input })
    await ada.ask(attestOwner, { params: { identity: input.name } })
    if (kind === 'workload') await ada.ask(activateIdentity, { params: { identity: input.name } })
    return input.name
  }
  const invited = async (machine: string) => {
    const { secret } = await ada.ask(inviteMachine, { params: { identity: machine }, input: {} })
    return secret ?? ''
  }
  const shown = async () => {
    const { publicKey } = await newKeyPair()
    return { publicKey, bootId: BOOT, at: new Date().toISOString() }
  }
  return { identity, invited, shown }
}

/** A machine that has joined, as its agent speaks. */
async function joined(stage: Stage): Promise<{ readonly machine: string; readonly agent: Client }> {
  const { identity, invited } = made(stage)
  const machine = await identity('machine')
  const { publicKey, privateKey } = await newKeyPair()
  const input = {
    identity: machine,
    token: await invited(machine),
    publicKey,
    bootId: BOOT,
    at: new Date().toISOString(),
  }
  const { nobody } = stage.young
  const { token, certificate } = await nobody.ask(joinMachine, { input })
  const client = { certificate, key: privateKey }
  return { machine, agent: openClient({ ...nobody.connection, token: new Secret(token), client }) }
}

async function placed(stage: Stage) {
  const { machine, agent } = await joined(stage)
  const workload = await made(stage).identity('workload')
  const input = { machine, selectors: ['unix:uid:0'] }
  const { id } = await stage.young.ada.ask(createPlacement, { params: { identity: workload }, input })
  return { agent, placement: id }
}

function admissionRows(stage: Stage): Rows {
  const { young, cast, drone } = stage
  const { identity, invited, shown } = made(stage)
  const about = (by: Client, machine: string, input: unknown): Asked => ({
    by,
    given: { params: { identity: machine }, input },
  })
  const joining = async (token?: string): Promise<Asked> => {
    const machine = await identity('machine')
    const input = { identity: machine, token: token ?? (await invited(machine)), ...(await shown()) }
    return { by: young.nobody, given: { input } }
  }
  return {
    'machine.invite': {
      done: async () => about(young.ada, await identity('machine'), {}),
      refused: () => about(stage.mallory, stage.droneName, {}),
      as: 'not-permitted',
    },
    'machine.join': {
      done: () => joining(),
      refused: () => joining('reeve_join_nobody-made-this'),
      as: 'machine-refused',
    },
    'machine.renew': {
      done: async () => ({ by: (await joined(stage)).agent, given: { input: await shown() } }),
      refused: async () => ({ by: cast.ada, given: { input: await shown() } }),
      as: 'not-permitted',
    },
    'machine.evict': {
      done: async () => about(young.ada, (await joined(stage)).machine, WHY),
      refused: () => about(stage.mallory, stage.droneName, WHY),
      as: 'not-permitted',
    },
    'machine.list': { done: () => ({ by: young.ada }), refused: () => ({ by: drone }), as: 'not-permitted' },
  }
}

function agentRows(stage: Stage): Rows {
  const { cast } = stage
  const certifying = async (by: Client, placement: string): Promise<Asked> => {
    const { publicKey } = await newKeyPair()
    return { by, given: { input: { placement, publicKey } } }
  }
  const vouching = (by: Client, placement: string): Asked => ({ by, given: { input: { placement, audience: ['db'] } } })
  return {
    'machine.follow': {
      done: async () => ({ by: (await joined(stage)).agent }),
      refused: () => ({ by: cast.ada }),
      as: 'not-permitted',
    },
    'machine.certify': {
      done: async () => {
        const { agent, placement } = await placed(stage)
        return certifying(agent, placement)
      },
      refused: () => certifying(cast.ada, BOOT),
      as: 'not-permitted',
    },
    'machine.vouch': {
      done: async () => {
        const { agent, placement } = await placed(stage)
        return vouching(agent, placement)
      },
      refused: () => vouching(cast.ada, BOOT),
      as: 'not-permitted',
    },
  }
}

function placementRows(stage: Stage): Rows {
  const { young, cast, drone, droneName } = stage
  return {
    'placement.create': {
      // As with trust rules: the founder of an empty installation alone, everybody else with another person.
      done: async () => {
        const { identity } = made(stage)
        const input = { machine: await identity('machine'), selectors: ['unix:user:postgres'] }
        return { by: young.ada, given: { params: { identity: await identity('workload') }, input } }
      },
      refused: () => ({
        by: cast.ada,
        given: { params: { identity: droneName }, input: { machine: 'anywhere', selectors: ['unix:uid:0'] } },
      }),
      as: 'approval-owed',
    },
    'placement.end': {
      done: async () => ({
        by: young.ada,
        given: { params: { placement: (await placed(stage)).placement }, input: WHY },
      }),
      refused: async () => ({
        by: (await joined(stage)).agent,
        given: { params: { placement: (await placed(stage)).placement }, input: WHY },
      }),
      as: 'not-found',
    },
    'placement.list': { done: () => ({ by: young.ada }), refused: () => ({ by: drone }), as: 'not-permitted' },
  }
}

function domainRows(stage: Stage): Rows {
  const { cast, drone } = stage
  const input = () => ({ name: `${stage.name()}.example`, bundleUrl: 'https://bundles.invalid/bundle' })
  const created = async () => {
    const { name: domain } = await cast.ada.ask(createTrustDomain, { input: input() })
    return { params: { domain } }
  }
  return {
    'trust-domain.create': {
      done: () => ({ by: cast.ada, given: { input: input() } }),
      refused: () => ({ by: cast.bob, given: { input: input() } }),
      as: 'not-permitted',
    },
    'trust-domain.refresh': {
      done: async () => ({ by: cast.ada, given: await created() }),
      refused: async () => ({ by: cast.bob, given: await created() }),
      as: 'not-permitted',
    },
    'trust-domain.end': {
      done: async () => ({ by: cast.ada, given: { ...(await created()), input: WHY } }),
      refused: async () => ({ by: cast.bob, given: { ...(await created()), input: WHY } }),
      as: 'not-permitted',
    },
    'trust-domain.list': { done: () => ({ by: cast.bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
  }
}
