import type { FormAnswer, FormAsked } from '../kernel/http/form.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'

/** Runs what a door does and puts an error as RFC 6749 §5.2 has it. */
export async function answering(
  needs: TokenNeeds,
  asked: FormAsked,
  work: () => Promise<FormAnswer>,
): Promise<FormAnswer> {
  try {
    if (!asked.isClear) {
      throw new OAuthError(
        'invalid_request',
        'Send each parameter once, as application/x-www-form-urlencoded in UTF-8.',
      )
    }
    return await work()
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error
    needs.log.debug({ err: error, code: error.code }, 'the token service refused')
    return {
      status: error.code === 'invalid_client' ? 401 : error.code === 'temporarily_unavailable' ? 503 : 400,
      body: { error: error.code, error_description: error.message },
      headers: error.code === 'invalid_client' && asked.hasAuthorization ? { 'www-authenticate': 'DPoP, Bearer' } : {},
    }
  }
}
