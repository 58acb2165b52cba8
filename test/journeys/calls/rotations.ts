import { shopTarget } from '../../../demo/register.ts'
import { registerAccount, registerTarget } from '../../../src/catalog/contract.ts'
import { certifyAccount, startRotation } from '../../../src/credentials/contract.ts'
import { asSuperuser } from '../../support/lease-world.ts'
import type { Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const WHY = { reason: 'because the test says so' }
const PASSWORD = 'known-before-it-was-rotated'

/** Logins that Reeve keeps: how they get another secret, and who says that they are right. */
export function rotationRows(stage: Stage): Rows {
  const { cast, mallory, drone, production } = stage
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
  return {
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
    'rotation.retry': {
      done: async () => {
        const params = await kept()
        await production.cluster.stop()
        const { id } = await bob.ask(startRotation, { params, input: WHY })
        return { by: ada, given: { params: { rotation: id } } }
      },
      undo: () => production.cluster.restart(),
      refused: async () => ({ by: mallory, given: { params: { rotation: (await rotated()).rotation } } }),
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
