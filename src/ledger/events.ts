import { z } from 'zod'
import { event, shown } from '../kernel/event.ts'
import { CONTINUATION_KIND } from './tree/export.ts'

/** The first entry of a log that follows a restored or failed-over one (core 12). */
export const ledgerContinued = event(CONTINUATION_KIND, 'The log goes on under a new name after a restore.', {
  previousOrigin: shown(z.string().max(250)),
  previousSize: shown(z.int().min(0)),
  previousRoot: shown(z.string().max(44)),
})

export const personalRevealed = event('ledger.revealed', 'Personal fields of an entry were read.', {
  entryId: shown(z.int().min(1)),
  fields: shown(z.array(z.string().max(63)).max(100)),
  reason: shown(z.string().min(1).max(1000)),
})
