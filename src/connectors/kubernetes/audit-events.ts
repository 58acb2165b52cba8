import { z } from 'zod'
import { known, unknown, type NativeId, type Observation } from '../connector.ts'
import { apiResource, instantOf, serviceAccount, user, type AccountOf } from './things.ts'

const User = z.object({ username: z.string(), uid: z.string().optional() })
/** What of an audit event (audit.k8s.io/v1) says who did what; bodies of requests are in none of these fields. */
const Event = z.object({
  kind: z.literal('Event').optional(),
  stage: z.string(),
  verb: z.string(),
  auditID: z.string().min(1).max(100).optional(),
  user: User,
  impersonatedUser: User.optional(),
  sourceIPs: z.array(z.string()).optional(),
  userAgent: z.string().optional(),
  objectRef: z
    .object({ resource: z.string().optional(), subresource: z.string().optional(), apiGroup: z.string().optional() })
    .optional(),
  responseStatus: z.object({ code: z.number().optional() }).optional(),
  requestReceivedTimestamp: z.string(),
  stageTimestamp: z.string().optional(),
})
export type AuditEvent = z.output<typeof Event>
const EventList = z.object({ kind: z.literal('EventList'), items: z.array(z.unknown()) })

/** One line of a log file, or the body that the webhook backend posts (`EventList`): its events, and how many things in it are none. */
export function readAuditEvents(text: string): { readonly events: readonly AuditEvent[]; readonly unread: number } {
  let told: unknown
  try {
    told = JSON.parse(text)
  } catch {
    return { events: [], unread: 1 }
  }
  return auditEventsIn(told)
}

/** The same of what is JSON already: one event, or an `EventList`. */
export function auditEventsIn(told: unknown): { readonly events: readonly AuditEvent[]; readonly unread: number } {
  const { data: list } = EventList.safeParse(told)
  const all = list ? list.items : [told]
  const events = all.flatMap((each) => Event.safeParse(each).data ?? [])
  return { events, unread: all.length - events.length }
}

/** The use that an event proves. A request has several stages and is counted at its last; one that nobody was let in by proves no use. */
export function useOf(event: AuditEvent, accounts: AccountOf): Observation[] {
  const at = instantOf(event.requestReceivedTimestamp)
  const code = event.responseStatus?.code ?? 0
  const acting = event.impersonatedUser ?? event.user
  if (!at || !isLast(event.stage) || code === 401 || acting.username === 'system:anonymous') return []
  const { resource, subresource, apiGroup } = event.objectRef ?? {}
  const on =
    resource === undefined
      ? undefined
      : apiResource(apiGroup ?? '', subresource === undefined ? resource : `${resource}/${subresource}`)
  const address = event.sourceIPs?.[0]
  return [
    {
      kind: 'usage',
      subject: whoOf(acting, accounts),
      semantics: 'api-call',
      at,
      count: 1,
      // What was refused was tried, and no right was used.
      ...(code < 400 && on && { privilege: `${event.verb} ${on.id}`, on }),
      from: {
        ...(address !== undefined && { address }),
        ...(event.userAgent !== undefined && { agent: event.userAgent }),
      },
      actor: event.impersonatedUser ? known(whoOf(event.user, accounts)) : unknown('unsupported'),
    },
  ]
}

/** Whether this is the one event of a request that is counted. */
export function isLast(stage: string): boolean {
  return stage === 'ResponseComplete' || stage === 'Panic'
}

function whoOf({ username, uid }: z.output<typeof User>, accounts: AccountOf): NativeId {
  if (!username.startsWith('system:serviceaccount:')) return user(username)
  // The event has the account's own id; one of that name now may be another.
  if (uid !== undefined && uid !== '') return serviceAccount(uid)
  return (
    accounts(username) ?? {
      kind: 'service-account-name',
      id: username.slice('system:serviceaccount:'.length).replace(':', '/'),
    }
  )
}
