import { z } from 'zod'
import { applyChange, approveChange, Change } from '../../../src/access/contract.ts'
import type { Client } from '../../../src/cli/client.ts'
import { registerIdentity } from '../../../src/identities/contract.ts'
import { createTrustRule } from '../../../src/tokens/contract.ts'
import type { Asked, Rows } from './call.ts'
import type { Stage } from './stage.ts'

/** The rules by which tokens of other issuers prove identities. */
export function tokenRows(stage: Stage): Rows {
  const { cast, mallory, drone } = stage
  const { ada, bob, erin } = cast
  const created = (identity: string, name = stage.name()) => ({
    params: { identity },
    input: { name, preset: 'gitlab-ci', subject: { is: `project_path:acme/${name}:ref_type:branch:ref:main` } },
  })
  /** Ada asks, somebody of security approves, and Ada applies what was approved. */
  const rule = async (): Promise<string> => {
    const given = { ...created('shop-migrations'), requestApproval: 'the pipeline moves to another system' }
    const { id, boundSha256 } = Change.parse(await ada.call(createTrustRule, given))
    await erin.ask(approveChange, { params: { change: id }, input: { boundSha256 } })
    const { answer } = await ada.ask(applyChange, { params: { change: id } })
    return z.object({ id: z.string() }).parse(answer).id
  }
  const ofRule = async (by: Client, input?: unknown): Promise<Asked> => ({
    by,
    given: { params: { rule: await rule() }, input },
  })
  const why = { reason: 'the pipeline is gone' }
  return {
    'trust-rule.create': {
      // Alone, the founder of an empty installation does; everybody else needs another person.
      done: async () => {
        const { young } = stage
        const { name } = await young.ada.ask(registerIdentity, { input: service(stage.name()) })
        return { by: young.ada, given: created(name) }
      },
      refused: () => ({ by: ada, given: created('shop-migrations') }),
      as: 'approval-owed',
    },
    'trust-rule.list': { done: () => ({ by: bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'trust-rule.read': { done: () => ofRule(bob), refused: () => ofRule(drone), as: 'not-permitted' },
    'trust-rule.retire': { done: () => ofRule(bob, why), refused: () => ofRule(mallory, why), as: 'not-permitted' },
  }
}

const service = (name: string) => ({ kind: 'workload', name, profile: 'service' })
