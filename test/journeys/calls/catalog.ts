import { shopPurposes, shopTarget, SHOP_ACCOUNT } from '../../../demo/register.ts'
import {
  listAccounts,
  proposePurpose,
  registerAccount,
  registerTarget,
  surveyTarget,
} from '../../../src/catalog/contract.ts'
import type { Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const WHY = { reason: 'because the test says so' }
const SHOP = { params: { target: 'shop-db' } }

export function catalogRows(stage: Stage): Rows {
  const { cast, mallory, drone, young, production } = stage
  const { ada, bob, carol, erin } = cast
  /** The inventory: open to people, closed to what is none. */
  const read = (
    given: () => Promise<{ params?: Record<string, string> }> | { params?: Record<string, string> },
  ): Row => ({
    done: async () => ({ by: bob, given: await given() }),
    refused: async () => ({ by: drone, given: await given() }),
    as: 'not-permitted',
  })
  const target = () => ({ ...shopTarget(production), name: stage.name() })
  const registered = async () => (await ada.ask(registerTarget, { input: target() })).name
  const seen = async (name: string) => {
    await ada.ask(surveyTarget, SHOP)
    const { items } = await bob.ask(listAccounts, { ...SHOP, query: { limit: 200 } })
    return { params: { account: items.find((account) => account.name === name)?.id ?? '' } }
  }
  const purpose = () => ({ ...shopPurposes()[0], name: stage.name() })
  const proposed = async () => ({ params: { purpose: (await bob.ask(proposePurpose, { input: purpose() })).name } })
  const lent = async () => (await ada.ask(registerAccount, account())).id
  const account = () => ({ ...SHOP, input: { ...SHOP_ACCOUNT, name: stage.name() } })
  return {
    'action.list': read(() => ({})),
    'target.list': read(() => ({})),
    'target.read': read(() => SHOP),
    'target.register': {
      done: () => ({ by: ada, given: { input: target() } }),
      refused: () => ({ by: bob, given: { input: target() } }),
      as: 'not-permitted',
    },
    'target.update': {
      // From the second person on this takes an approval; test/journeys/change.test.ts goes that way.
      done: async () => {
        const { name } = await young.ada.ask(registerTarget, { input: target() })
        return { by: young.ada, given: { params: { target: name }, input: { sensitivity: 0 } } }
      },
      refused: () => ({ by: ada, given: { ...SHOP, input: { environment: 'staging' } } }),
      as: 'approval-owed',
    },
    'target.friction': read(() => SHOP),
    'target.set-mode': {
      // Loosening takes an approval from the second person on; test/journeys/hold.test.ts goes that way.
      done: async () => {
        const { name } = await young.ada.ask(registerTarget, { input: target() })
        return {
          by: young.ada,
          given: { params: { target: name }, input: { mode: 'observe', was: 'enforce', ...WHY } },
        }
      },
      refused: () => ({ by: ada, given: { ...SHOP, input: { mode: 'warn', was: 'enforce', ...WHY } } }),
      as: 'approval-owed',
    },
    'target.retire': {
      done: async () => ({ by: ada, given: { params: { target: await registered() }, input: WHY } }),
      refused: () => ({ by: mallory, given: { ...SHOP, input: WHY } }),
      as: 'not-permitted',
    },
    'target.survey': {
      done: () => ({ by: ada, given: SHOP }),
      refused: () => ({ by: mallory, given: SHOP }),
      as: 'not-permitted',
    },
    'account.list': read(() => SHOP),
    'account.read': read(() => seen('svc_batch')),
    'account.register': {
      done: () => ({ by: bob, given: account() }),
      refused: () => ({ by: mallory, given: account() }),
      as: 'not-permitted',
    },
    'account.claim': {
      done: async () => ({
        by: ada,
        given: { ...(await seen('svc_batch')), input: { identity: await stage.workload() } },
      }),
      refused: async () => ({ by: mallory, given: { ...(await seen('dana_tmp')), input: { identity: 'mallory' } } }),
      as: 'not-permitted',
    },
    'account.retire': {
      done: async () => ({ by: bob, given: { params: { account: await lent() }, input: WHY } }),
      refused: async () => ({ by: mallory, given: { params: { account: await lent() }, input: WHY } }),
      as: 'not-permitted',
    },
    'purpose.list': read(() => ({})),
    'purpose.read': read(() => ({ params: { purpose: 'shop-operations' } })),
    'purpose.propose': {
      done: () => ({ by: mallory, given: { input: purpose() } }),
      refused: () => ({ by: mallory, given: { input: { ...purpose(), targets: ['unknown-db'] } } }),
      as: 'not-found',
    },
    'purpose.approve': {
      done: async () => ({ by: carol, given: await proposed() }),
      refused: async () => ({ by: bob, given: await proposed() }),
      as: 'not-permitted',
    },
    'purpose.end': {
      done: async () => ({ by: erin, given: { ...(await proposed()), input: WHY } }),
      refused: async () => ({ by: mallory, given: { ...(await proposed()), input: WHY } }),
      as: 'not-permitted',
    },
  }
}
