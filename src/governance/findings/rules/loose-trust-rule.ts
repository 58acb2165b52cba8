import type { TrustRuleFacts } from '../facts/facts.ts'
import { clear, found, type Rule } from '../rule.ts'

/** Claims that say for which branch, environment or job a token was made, and not only whose it is. */
const NARROWS = /^(?:ref|environment|job_workflow_ref|workflow_ref|ref_protected|pipeline_source|build_branch|vcs-ref)$/
/** Runs of whoever proposes a change (GitHub, "OpenID Connect reference": the subject of pull requests). */
const PROPOSED = /:pull_request$/

export const looseTrustRule: Rule<TrustRuleFacts> = {
  id: 'loose-trust-rule',
  owasp: 'NHI6:2025',
  title: 'A rule of trust of Reeve lets in more than one named job',
  why: 'Every branch and every proposed change of a repository is that identity then, not only what was reviewed.',
  needs: 'the rules of trust; they are in the record',
  fix: 'Register a rule with the whole subject, or with a claim for the branch or environment, then retire this one.',
  control: 'Rules name one subject; beginnings are for what has no name before it runs.',
  judge({ preset, issuer, keysUrl, subject, isBeginning, claims, tier, now }) {
    const isInTheOpen = [issuer, keysUrl].some((url) => url?.startsWith('http://') === true)
    const isWide = isBeginning && preset !== 'spiffe' && !claims.some((claim) => NARROWS.test(claim))
    const evidence = [
      ...(isWide ? [`it takes every subject that begins with ${subject}, by no branch, environment or job`] : []),
      ...(PROPOSED.test(subject) ? [`${subject} is what anybody proposes`] : []),
      ...(isInTheOpen ? ['the keys of its issuer are fetched without TLS'] : []),
    ]
    if (evidence.length === 0) return clear(now)
    const isGrave = tier <= 1 || PROPOSED.test(subject) || isInTheOpen
    return found(isGrave ? 'high' : 'medium', now, evidence)
  },
}
