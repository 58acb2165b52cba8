import { acceptFinding, evaluateFindings, listFindings } from '../../../src/governance/contract.ts'
import { loseOwner } from '../../../src/identities/contract.ts'
import type { Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

/** A workload whose owner left: the rules find it, security lives with it for a week, and takes that back. */
export function findingRows(stage: Stage): Rows {
  const { cast, mallory, drone } = stage
  const { ada, bob, erin } = cast
  const found = async () => {
    const identity = await stage.workload()
    await ada.ask(loseOwner, { params: { identity }, input: { reason: 'left the company' } })
    await ada.ask(evaluateFindings, {})
    const { items } = await bob.ask(listFindings, { query: { identity, rule: 'orphaned' } })
    return { params: { finding: items[0]?.id ?? '' } }
  }
  const toAccept = async () => ({ ...(await found()), input: { reason: 'retired next week', days: 7 } })
  const toReopen = async () => {
    const given = await toAccept()
    await erin.ask(acceptFinding, given)
    return { params: given.params, input: { reason: 'it is still in use' } }
  }
  const reads = (given: NonNullable<Awaited<ReturnType<Row['done']>>['given']>): Row => ({
    done: async () => ({ by: bob, given }),
    refused: async () => ({ by: drone, given }),
    as: 'not-permitted',
  })
  return {
    'finding.list': reads({}),
    'finding.read': {
      done: async () => ({ by: bob, given: await found() }),
      refused: async () => ({ by: drone, given: await found() }),
      as: 'not-permitted',
    },
    'finding.accept': {
      done: async () => ({ by: erin, given: await toAccept() }),
      // Who would have to put it right: not alone.
      refused: async () => ({ by: bob, given: await toAccept() }),
      as: 'approval-owed',
    },
    'finding.reopen': {
      done: async () => ({ by: erin, given: await toReopen() }),
      refused: async () => ({ by: mallory, given: await toReopen() }),
      as: 'not-permitted',
    },
    'finding.evaluate': {
      done: async () => ({ by: ada }),
      refused: async () => ({ by: mallory }),
      as: 'not-permitted',
    },
  }
}
