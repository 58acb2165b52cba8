import { changeInPlace } from './acts.ts'
import type { Strategy } from './strategy.ts'

/** One secret, changed in one moment. Nobody but Reeve holds it, so nobody is cut off: what is connected stays, what comes gets the new one. */
export const cutOver: Strategy = {
  name: 'cut-over',
  impossibleAt: ({ slots }) => (slots ? 'Its secrets are made by the target itself.' : undefined),
  coexisting: 1,
  copies: 'none',
  maker: 'reeve',
  showsWho: true,
  endsSessions: () => false,
  issue: changeInPlace,
}

/** The same for an application that cannot reload: it keeps a secret of its own to the gateway (`local-secret.issue`), and the real one changes behind. */
export const brokerOnly: Strategy = { ...cutOver, name: 'broker-only' }
