import type { LeaseWriter } from './writer.ts'

/**
 * The kind of lease whose credential stands at the target already and is sealed with the account. Nothing is made and nothing can be revoked
 * (revocability `none`): the row declares an exposure. It is dead, for the grant, once no session uses it, and its evidence says what
 * remains: the value was shown to nobody and lives on at the target until it is rotated.
 */
export const STATIC = 'static'

export const staticWriter: LeaseWriter = {
  kind: STATIC,
  protocol: '*',
  capability: { revocability: 'none', coexisting: 1, isReversible: false, permissions: [] },
  needsSite: false,
  plan() {
    throw new Error('a static credential is not made by us')
  },
  apply: async () => ({ details: {} }),
  end: async () => ({ appeared: [], unread: [] }),
  verify: async () => ({
    kind: 'dead',
    evidence: { declared: true, shownToCaller: false, residualLife: 'until it is rotated at the target' },
  }),
}
