import type { Row, Rows } from './call.ts'
import type { Stage } from './stage.ts'

const QUESTION = {
  subject: { type: 'user', id: 'bob' },
  action: { name: 'postgres.read' },
  resource: { type: 'account', id: 'app@shop-db' },
}

/** What enforcement points ask. */
export function decisionRows({ cast, drone }: Stage): Rows {
  const asked = (input: object): Row => ({
    done: () => ({ by: cast.ada, given: { input } }),
    refused: () => ({ by: drone, given: { input } }),
    as: 'not-permitted',
  })
  const { subject, action, resource } = QUESTION
  return {
    'decision.evaluate': asked(QUESTION),
    'decision.evaluate-all': asked({ ...QUESTION, evaluations: [{}, { subject: { type: 'user', id: 'ghost' } }] }),
    'decision.search-subjects': asked({ ...QUESTION, subject: { type: 'user' } }),
    'decision.search-resources': asked({ ...QUESTION, resource: { type: 'account' }, action: { name: action.name } }),
    'decision.search-actions': asked({ subject, resource }),
    'policy.explain': asked(QUESTION),
    'policy.simulate': asked({
      days: 1,
      files: [{ name: 'all.cedar', text: 'permit (principal, action, resource);' }],
    }),
  }
}
