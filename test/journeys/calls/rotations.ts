import { shopTarget } from '../../../demo/register.ts'
import { registerAccount, registerTarget } from '../../../src/catalog/contract.ts'
import {
  certifyAccount,
  configureRotation,
  declareConsumer,
  issueLocalSecret,
  readMany,
  startMany,
  startRotation,
} from '../../../src/credentials/contract.ts'
import { asSuperuser } from '../../support/lease-world.ts'
import { eventually } from '../../support/eventually.ts'
import type { Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const WHY = { reason: 'because the test says so' }
const PASSWORD = 'known-before-it-was-rotated'

/** Logins that Reeve keeps: how they get another secret, and who says that they are right. */
export function rotationRows(stage: Stage): Rows {
  const { cast, mallory, drone, droneName, production } = stage
  const { ada, bob } = cast
  const role = async (more: string) => {
    const name = stage.name()
    const admin = await asSuperuser(production.cluster)
    await admin.query(`create role "${name}" login ${more} password '${PASSWORD}'`)
    await admin.end()
    return name
  }
  /** An account of the shop's database that stands there with a secret of its own; Ada registered it. */
  const kept = async () => {
    const input = { name: await role(''), mode: 'static', password: PASSWORD, databases: ['shop'] }
    return { account: (await ada.ask(registerAccount, { params: { target: 'shop-db' }, input })).id }
  }
  const provisioned = async () => {
    const provisioner = { user: await role('createrole'), password: PASSWORD }
    const input = { ...shopTarget(production), name: stage.name(), provisioner }
    return { target: (await ada.ask(registerTarget, { input })).name }
  }
  const rotated = async () => {
    const params = await kept()
    return { params, rotation: (await bob.ask(startRotation, { params, input: WHY })).id }
  }
  const word = () => ({ goodBefore: new Date(Date.now() + 30 * 86_400_000).toISOString(), statement: 'It is in use.' })
  const ofKept = (input: object): Row => ({
    done: async () => ({ by: bob, given: { params: await kept(), input } }),
    refused: async () => ({ by: mallory, given: { params: await kept(), input } }),
    as: 'not-permitted',
  })
  const ofProvisioner = (input: object): Row => ({
    done: async () => ({ by: bob, given: { params: await provisioned(), input } }),
    refused: async () => ({ by: mallory, given: { params: await provisioned(), input } }),
    as: 'not-permitted',
  })
  /** A rotation that waits for a person. */
  const byHand = async () => {
    const params = await kept()
    const way = { strategy: 'by-hand', instructions: 'ask the vendor', ownerTeam: 'shop', deadlineDays: 3 }
    await bob.ask(configureRotation, { params, input: { ...way, ...WHY } })
    return { rotation: (await bob.ask(startRotation, { params, input: WHY })).id }
  }
  const ofHand = (by: typeof bob, input?: object): Row => ({
    done: async () => ({ by, given: { params: await byHand(), ...(input && { input }) } }),
    refused: async () => ({ by: mallory, given: { params: await byHand(), ...(input && { input }) } }),
    as: 'not-permitted',
  })
  const BILLING = { name: 'billing', ownerTeam: 'shop', applicationName: 'billing', ...WHY }
  const consumed = async () => {
    const params = await kept()
    return { ...params, consumer: (await bob.ask(declareConsumer, { params, input: BILLING })).id }
  }
  /** A target of its own with one login, of which somebody holds a copy that would be cut off. */
  const stuck = async () => {
    const { target } = await provisioned()
    const input = { name: await role(''), mode: 'static', password: PASSWORD, databases: ['shop'] }
    const account = (await ada.ask(registerAccount, { params: { target }, input })).id
    await ada.ask(declareConsumer, { params: { account }, input: BILLING })
    return target
  }
  const many = async () => {
    const input = { target: await stuck(), ...WHY }
    return { campaign: (await ada.ask(startMany, { input })).id }
  }
  const stopped = async () => {
    const params = await many()
    await eventually(async () => (await ada.ask(readMany, { params })).state === 'stopped' || undefined)
    return params
  }
  const local = async () => ({ account: (await kept()).account, address: '192.0.2.7', ...WHY })
  const fixed = async () => {
    const params = { identity: droneName }
    return { ...params, secret: (await bob.ask(issueLocalSecret, { params, input: await local() })).id }
  }
  return {
    'rotation.abort': ofHand(bob, WHY),
    'rotation.resume': ofHand(ada),
    'rotation.hand-in': ofHand(bob, { password: 'set-by-hand-at-the-target' }),
    'rotation.configure': ofKept({ strategy: 'cut-over', ...WHY }),
    'credential.report-leak': ofKept(WHY),
    'consumer.declare': ofKept(BILLING),
    'consumer.withdraw': {
      done: async () => ({ by: bob, given: { params: await consumed(), input: WHY } }),
      refused: async () => ({ by: mallory, given: { params: await consumed(), input: WHY } }),
      as: 'not-permitted',
    },
    'consumer.list': {
      done: async () => ({ by: mallory, given: { params: await kept() } }),
      refused: async () => ({ by: drone, given: { params: await kept() } }),
      as: 'not-permitted',
    },
    'rotation.start-many': {
      done: async () => ({ by: ada, given: { input: { target: await stuck(), ...WHY } } }),
      refused: async () => ({ by: bob, given: { input: { target: await stuck(), ...WHY } } }),
      as: 'not-permitted',
    },
    'rotation.read-many': {
      done: async () => ({ by: mallory, given: { params: await many() } }),
      refused: async () => ({ by: drone, given: { params: await many() } }),
      as: 'not-permitted',
    },
    'rotation.resume-many': {
      done: async () => ({ by: ada, given: { params: await stopped(), input: { mostFailures: 5, ...WHY } } }),
      refused: async () => ({ by: bob, given: { params: await many(), input: { mostFailures: 5, ...WHY } } }),
      as: 'not-permitted',
    },
    'obligation.list': { done: () => ({ by: bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'local-secret.issue': {
      done: async () => ({ by: bob, given: { params: { identity: droneName }, input: await local() } }),
      refused: async () => ({ by: mallory, given: { params: { identity: droneName }, input: await local() } }),
      as: 'not-permitted',
    },
    'local-secret.revoke': {
      done: async () => ({ by: ada, given: { params: await fixed(), input: WHY } }),
      refused: async () => ({ by: mallory, given: { params: await fixed(), input: WHY } }),
      as: 'not-permitted',
    },
    'rotation.start': ofKept(WHY),
    'rotation.start-provisioner': ofProvisioner(WHY),
    'rotation.schedule': ofKept({ everyDays: 30, ...WHY }),
    'rotation.schedule-provisioner': ofProvisioner({ everyDays: 30, ...WHY }),
    'rotation.list': { done: () => ({ by: bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'rotation.read': {
      done: async () => ({ by: mallory, given: { params: { rotation: (await rotated()).rotation } } }),
      refused: async () => ({ by: drone, given: { params: { rotation: (await rotated()).rotation } } }),
      as: 'not-permitted',
    },
    'account.certify': {
      done: async () => ({ by: bob, given: { params: await kept(), input: word() } }),
      // He may certify what others rotate.
      refused: async () => ({ by: bob, given: { params: (await rotated()).params, input: word() } }),
      as: 'not-permitted',
    },
    'account.list-certifications': {
      done: async () => {
        const params = await kept()
        await bob.ask(certifyAccount, { params, input: word() })
        return { by: mallory, given: { params } }
      },
      refused: async () => ({ by: drone, given: { params: await kept() } }),
      as: 'not-permitted',
    },
  }
}
