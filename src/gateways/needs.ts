import type { AccessNeeds, Ends, SecondLook } from '../access/access.ts'
import type { CredentialNeeds } from '../credentials/credentials.ts'
import type { Db } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import type { LiveNeeds, LiveSessions } from '../sessions/sessions.ts'
import type { Cancels } from './cancels.ts'
import type { Plane } from './gateway.ts'

/** What the plane stands on: the domains as the composition root opened them. */
export type HostNeeds = {
  readonly db: Db
  readonly log: Log
  readonly nodeId: string
  readonly access: AccessNeeds
  readonly credentials: CredentialNeeds
  readonly ends: Ends
  readonly secondLook: Pick<SecondLook, 'mark' | 'used' | 'heardOf' | 'missed'>
  readonly cancels: Pick<Cancels, 'pass' | 'subscribe'>
  readonly sessions: LiveNeeds
  readonly live: LiveSessions
  readonly tls: Plane['tls']
  readonly drainMs?: number
}
