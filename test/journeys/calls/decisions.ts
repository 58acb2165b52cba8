import {
  activatePolicies,
  listPolicyVersions,
  proposePolicies,
  readPolicyVersion,
} from '../../../src/policy/contract.ts'
import type { Client } from '../../../src/cli/client.ts'
import type { Asked, Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const QUESTION = {
  subject: { type: 'user', id: 'bob' },
  action: { name: 'postgres.read' },
  resource: { type: 'account', id: 'app@shop-db' },
}

/** The same, decided elsewhere. */
const REPORTED = {
  question: QUESTION,
  decided: 'deny',
  decisionId: '0199b1b0-0000-7000-8000-000000000001',
  decidedAt: '2026-11-22T10:00:00Z',
  policyVersion: '0'.repeat(64),
  policies: [],
  errors: 0,
  sliceSha256: null,
}

/** What enforcement points ask. */
export function decisionRows({ cast, drone, young }: Stage): Rows {
  const asked = (input: object): Row => ({
    done: () => ({ by: cast.ada, given: { input } }),
    refused: () => ({ by: drone, given: { input } }),
    as: 'not-permitted',
  })
  const { subject, action, resource } = QUESTION
  const asElsewhere = (given: object): Row => ({
    done: () => ({ by: cast.ada, given }),
    refused: () => ({ by: drone, given }),
    as: 'not-permitted',
  })
  const proposing = async (by: Client): Promise<Asked> => ({ by, given: { input: { files: await filesOf(cast.bob) } } })
  /** The version that decides on the site of the caller, as that caller reads it. */
  const ofActive = async (by: Client): Promise<Asked> => ({
    by,
    given: { params: { version: await activeOn(cast.bob) } },
  })
  const another = async (by: Client): Promise<string> => {
    const [first, ...rest] = await filesOf(by)
    const files = [{ name: first?.name ?? '', text: `${first?.text ?? ''}\n${own()}` }, ...rest]
    return (await by.ask(proposePolicies, { input: { files } })).id
  }
  const ofAnother = async (by: Client): Promise<Asked> => ({ by, given: { params: { version: await another(by) } } })
  return {
    'decision.evaluate': asked(QUESTION),
    'decision.evaluate-all': asked({ ...QUESTION, evaluations: [{}, { subject: { type: 'user', id: 'ghost' } }] }),
    'decision.search-subjects': asked({ ...QUESTION, subject: { type: 'user' } }),
    'decision.search-resources': asked({ ...QUESTION, resource: { type: 'account' }, action: { name: action.name } }),
    'decision.search-actions': asked({ subject, resource }),
    'decision.sync': asElsewhere({ input: { items: [{ role: 'resource', ...resource }] } }),
    'decision.changes': asElsewhere({ query: { seconds: 1 } }),
    'decision.report': asElsewhere({ input: { entries: [REPORTED] } }),
    'policy.explain': asked(QUESTION),
    'policy.simulate': asked({
      days: 1,
      files: [{ name: 'all.cedar', text: 'permit (principal, action, resource);' }],
    }),
    'policy.propose': {
      done: () => proposing(cast.ada),
      refused: () => proposing(cast.bob),
      as: 'not-permitted',
    },
    'policy.list': { done: () => ({ by: cast.bob }), refused: () => ({ by: drone }), as: 'not-permitted' },
    'policy.read': { done: () => ofActive(cast.bob), refused: () => ofActive(drone), as: 'not-permitted' },
    'policy.activate': {
      // Alone, the founder does; test/journeys/policy-versions.test.ts goes the way of two.
      done: () => ofAnother(young.ada),
      refused: () => ofAnother(cast.ada),
      as: 'approval-owed',
    },
    'policy.revert': {
      done: async () => {
        await young.ada.ask(activatePolicies, { params: { version: await another(young.ada) } })
        return { by: young.ada }
      },
      refused: () => ({ by: cast.bob }),
      as: 'not-permitted',
    },
  }
}

let made = 0
/** A policy more each time, which changes nothing for anybody. */
const own = () =>
  `@id("own-${(made += 1)}") forbid (principal, action == Reeve::Action::"target.survey", resource is Reeve::Target) when { resource.name == "nowhere" };`

async function activeOn(by: Client): Promise<string> {
  const { items } = await by.ask(listPolicyVersions)
  return items.find(({ isActive }) => isActive)?.id ?? ''
}

async function filesOf(by: Client) {
  return (await by.ask(readPolicyVersion, { params: { version: await activeOn(by) } })).files
}
