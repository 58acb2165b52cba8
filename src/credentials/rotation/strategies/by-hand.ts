import { Waiting } from '../claim.ts'
import type { Strategy } from './strategy.ts'

/**
 * For what nobody can automate: a person changes the secret at the target and hands it in. Their word ends nothing: the new one must be let in, and the
 * old one must be refused, when this server tries them.
 */
export const byHand: Strategy = {
  name: 'by-hand',
  coexisting: 1,
  copies: 'held',
  maker: 'person',
  showsWho: true,
  endsSessions: () => false,
  async issue({ way }, at) {
    throw new Waiting(
      `${way.ownerTeam ?? 'its owner'} has to set another secret at the target and hand it in: ${way.instructions ?? ''}`.slice(
        0,
        900,
      ),
      at.deadlineAt ? { lateFrom: at.deadlineAt } : {},
    )
  },
}
