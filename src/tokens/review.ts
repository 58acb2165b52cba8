import { z } from 'zod'
import { EgressFailed } from '../kernel/egress.ts'
import type { TrustRule } from './contract.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { reviewerOf } from './trust-rules.ts'

/** authentication.k8s.io/v1 TokenReview, as far as it is read. */
const Reviewed = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    user: z.object({ username: z.string().max(1_000) }).optional(),
    audiences: z.array(z.string()).optional(),
  }),
})

/**
 * Asks the cluster whether a token is still good: a pod or service account that was deleted makes it worthless before it expires, which no
 * signature shows. Throws `OAuthError`; a cluster that cannot be asked is a no.
 */
export async function reviewToken(needs: TokenNeeds, rule: TrustRule, token: string): Promise<void> {
  const { review } = rule
  const reviewer = await reviewerOf(needs.db, needs, rule.id)
  if (!review || !reviewer) throw refused()
  const body = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token, audiences: [rule.audience] },
  }
  try {
    const { status, body: answer } = await needs.egress.ask(
      `${review.url.replace(/\/$/, '')}/apis/authentication.k8s.io/v1/tokenreviews`,
      {
        method: 'POST',
        headers: { authorization: `Bearer ${reviewer.reveal()}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        types: ['application/json'],
      },
    )
    if (status !== 200 && status !== 201) throw refused()
    const { authenticated, user, audiences } = Reviewed.parse(JSON.parse(answer.toString('utf8'))).status
    const isIt =
      'is' in rule.subject ? user?.username === rule.subject.is : user?.username.startsWith(rule.subject.startsWith)
    if (!authenticated || isIt !== true || audiences?.includes(rule.audience) !== true) throw refused()
  } catch (error) {
    if (error instanceof OAuthError) throw error
    if (error instanceof EgressFailed) {
      throw new OAuthError('temporarily_unavailable', 'The cluster cannot review the token now.', { cause: error })
    }
    throw new OAuthError('invalid_grant', 'The cluster does not vouch for the token.', { cause: error })
  }
}

function refused(): OAuthError {
  return new OAuthError('invalid_grant', 'The cluster does not vouch for the token.')
}
