import type { TrustFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const proposedCode: Rule<TrustFacts> = {
  id: 'proposed-code',
  owasp: 'NHI6:2025',
  title: 'A pipeline runs what strangers propose, in the name of the repository',
  why: 'Whoever may open a pull request or write a comment has their own code run with the secrets of the repository and a token that may write to it.',
  needs: 'the pipeline files of the repository',
  fix: 'Run proposed code on `pull_request`, without secrets; keep `pull_request_target` and `workflow_run` to code of the branch itself, and pass texts by environment.',
  control: 'Pipeline files are under review of their owners, and runs of strangers wait for a person.',
  judge({ nativeKind, method, where, isPresent, isWhole, readAt }) {
    if (nativeKind !== 'pipeline-trigger') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (method === null) return unknown('what of a proposal it runs was not seen')
    if (method === 'runs-own-code')
      return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    const what =
      method === 'runs-proposed-text' ? 'a script has a text in it that anybody writes' : 'it fetches the proposed code'
    return found(
      'critical',
      readAt,
      [what, ...(where === null ? [] : [where])],
      ['who may propose depends on the settings of the repository'],
    )
  },
}
