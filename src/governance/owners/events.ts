import { event } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'

export const ownerDeclined = event('owner.declined', 'A person said that they do not answer for an identity.', {
  ownerId: Id,
})
