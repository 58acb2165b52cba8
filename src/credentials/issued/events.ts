import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'

export const credentialHandedOut = event('credential.handed-out', 'The holder of a grant was given its credential.', {
  leaseId: Id,
  validBefore: Instant,
  /** The second and later times it is the same credential. */
  isFirst: shown(z.boolean()),
  hasSignIn: shown(z.boolean()),
})

export const issuedEvents = [credentialHandedOut]
