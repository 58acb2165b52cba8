import { generateKeyPairSync } from 'node:crypto'
import { approveChange, Change } from '../../../src/access/contract.ts'
import { exportDeposit, putDeposit } from '../../../src/credentials/contract.ts'
import type { Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const WHY = { reason: 'because the test says so' }
const PUT = { ownerTeam: 'shop', purpose: 'signs what the shop ships', value: 'the-value-of-the-test' }

/** Secrets in custody: Bob and Carol own those of the shop, Erin is of security. */
export function custodyRows(stage: Stage): Rows {
  const { cast, mallory, drone } = stage
  const { bob, erin } = cast
  const recipient = generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const kept = async () => {
    const params = { deposit: stage.name() }
    await bob.ask(putDeposit, { params, input: PUT })
    return params
  }
  const ofKept = (input?: object, by = mallory): Row => ({
    done: async () => ({ by: bob, given: { params: await kept(), ...(input && { input }) } }),
    refused: async () => ({ by, given: { params: await kept(), ...(input && { input }) } }),
    as: 'not-permitted',
  })
  return {
    'deposit.list': { done: () => ({ by: bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'deposit.read': ofKept(undefined, drone),
    'deposit.put': {
      done: () => ({ by: bob, given: { params: { deposit: stage.name() }, input: PUT } }),
      refused: () => ({ by: mallory, given: { params: { deposit: stage.name() }, input: PUT } }),
      as: 'not-permitted',
    },
    'deposit.reveal': ofKept(WHY),
    'deposit.retire': ofKept(WHY),
    'deposit.export': {
      done: async () => {
        const given = { params: await kept(), input: { recipient } }
        const asked = await bob.call(exportDeposit, { ...given, requestApproval: 'the vendor needs it' })
        const { id, boundSha256 } = Change.parse(asked)
        await erin.ask(approveChange, { params: { change: id }, input: { boundSha256 } })
        return { by: bob, given, change: id }
      },
      // The owner alone does not.
      refused: async () => ({ by: bob, given: { params: await kept(), input: { recipient } } }),
      as: 'approval-owed',
    },
  }
}
