import { z } from 'zod'
import { equalBytes, hmacSha256 } from '../../../kernel/crypto.ts'
import { EgressFailed } from '../../../kernel/egress.ts'
import { Waiting } from '../claim.ts'
import { changeInPlace } from './acts.ts'
import type { Strategy } from './strategy.ts'

const NONCE_BYTES = 16
const MAX_BYTES = 4_096
const JSON_TYPE = 'application/json'
const Answer = z.object({ acknowledged: z.string().max(128) })

/**
 * One secret, held by an application that takes the new one when it is restarted. A signed call tells it that there is one; the secret is not in it. The
 * answer must be signed for this very call with the same key, and even then says only that it was heard: that it was taken up is seen at
 * the target. Between the change and the restart the application's new connections are refused: it declares as much by choosing this.
 */
export const restartHook: Strategy = {
  name: 'restart-hook',
  impossibleAt: ({ slots }) => (slots ? 'Its secrets are made by the target itself.' : undefined),
  coexisting: 1,
  copies: 'held',
  maker: 'reeve',
  showsWho: true,
  endsSessions: () => false,
  issue: changeInPlace,
  async tell({ needs, way, place, signal }, at) {
    const { hookUrl, hookKey } = way
    if (hookUrl === null || !hookKey)
      throw new Waiting('its way of rotation was changed meanwhile; give the hook again')
    const { egress } = needs
    if (!egress) throw new Waiting('this node asks at no address')
    const nonce = needs.random.bytes(NONCE_BYTES).toString('hex')
    const key = Buffer.from(hookKey.reveal(), 'utf8')
    const body = JSON.stringify({
      rotation: at.id,
      account: at.accountId,
      target: place.target,
      login: at.nextUser,
      at: needs.clock.now().toISOString(),
      nonce,
    })
    try {
      const answer = await egress.ask(
        hookUrl,
        {
          method: 'POST',
          body,
          headers: { 'content-type': JSON_TYPE, 'reeve-signature': `sha256=${hmacSha256(key, body).toString('hex')}` },
          types: [JSON_TYPE],
          maxBytes: MAX_BYTES,
        },
        signal,
      )
      if (answer.status !== 200) throw late(at.stateAt, `the hook answered with status ${answer.status}`)
      const expected = hmacSha256(key, `acknowledged ${nonce}`)
      if (!isSigned(answer.body, expected)) throw late(at.stateAt, 'the answer of the hook is not signed with its key')
    } catch (error) {
      if (!(error instanceof EgressFailed)) throw error
      signal.throwIfAborted()
      throw late(at.stateAt, `the hook was not reached: ${error.message}`)
    }
  },
}

function late(lateFrom: Date, sentence: string): Waiting {
  return new Waiting(sentence, { lateFrom })
}

function isSigned(body: Buffer, expected: Buffer): boolean {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    return false
  }
  const answer = Answer.safeParse(value)
  return answer.success && equalBytes(Buffer.from(answer.data.acknowledged, 'hex'), expected)
}
