/** Who did what, of the records of CloudTrail ("CloudTrail userIdentity element"). Parameters and answers are read for whom a role was lent to only. */
import { z } from 'zod'
import { unknown, type NativeId, type Observation } from '../connector.ts'
import { instantOf } from './account.ts'
import { accessKeyId, rootId } from './things.ts'

const Identity = z.object({
  type: z.string().nullish(),
  principalId: z.string().nullish(),
  accountId: z.string().nullish(),
  accessKeyId: z.string().nullish(),
  sessionContext: z.object({ sessionIssuer: z.object({ principalId: z.string().nullish() }).nullish() }).nullish(),
})
const Record = z.object({
  eventTime: z.string(),
  eventSource: z.string(),
  eventName: z.string(),
  sourceIPAddress: z.string().nullish(),
  userAgent: z.string().nullish(),
  errorCode: z.string().nullish(),
  userIdentity: Identity,
  responseElements: z.unknown().optional(),
})
const Records = z.object({ Records: z.array(z.unknown()) })
const Lent = z.object({ assumedRoleUser: z.object({ assumedRoleId: z.string() }) })

type Use = Extract<Observation, { kind: 'usage' }>
type Read = { readonly uses: readonly Use[]; readonly unread: number; readonly times: readonly string[] }

/** Uses of one file, those alike of a day as one. Undefined when it holds no records. */
export function readRecords(json: unknown, account: string): Read | undefined {
  const records = Records.safeParse(json).data?.Records
  if (!records) return undefined
  const uses = new Map<string, Use>()
  const times: string[] = []
  let unread = 0
  for (const one of records) {
    const record = Record.safeParse(one).data
    const at = record && instantOf(record.eventTime)
    if (!record || !at) {
      unread += 1
      continue
    }
    times.push(at.toISOString())
    for (const use of usesOf(record, at, account)) {
      const { subject, from } = use
      const day = at.toISOString().slice(0, 10)
      const key = JSON.stringify([subject, use.semantics, use.privilege, from, day])
      const before = uses.get(key)
      uses.set(key, before ? { ...(before.at > at ? before : use), count: (before.count ?? 0) + 1 } : use)
    }
  }
  return { uses: [...uses.values()], unread, times }
}

function usesOf(record: z.output<typeof Record>, at: Date, account: string): Use[] {
  const { userIdentity: who, eventName, errorCode } = record
  const service = record.eventSource.split('.')[0] ?? ''
  const common = {
    kind: 'usage' as const,
    at,
    count: 1,
    from: {
      ...(record.sourceIPAddress && { address: record.sourceIPAddress }),
      ...(record.userAgent && { agent: record.userAgent }),
    },
    actor: unknown('unsupported'),
  }
  // What was refused was tried, and no right was used.
  const privilege = errorCode ? {} : { privilege: `${service}:${eventName}` }
  const isLogin = service === 'signin'
  const semantics = isLogin ? 'auth' : 'api-call'
  const subject = subjectOf(who, account)
  const lent = eventName.startsWith('AssumeRole') ? Lent.safeParse(record.responseElements).data : undefined
  const role = lent?.assumedRoleUser.assumedRoleId.split(':')[0]
  const key = who.accessKeyId
  return [
    ...(subject ? [{ ...common, ...privilege, subject, semantics } as const] : []),
    // A key of a session is over by itself; one that begins so is somebody's own.
    ...(subject && key && key.startsWith('AKIA')
      ? [{ ...common, ...privilege, subject: accessKeyId(key), semantics: 'api-call' } as const]
      : []),
    ...(role ? [{ ...common, subject: { kind: 'role', id: role }, semantics: 'assume' } as const] : []),
  ]
}

/** Of this account; others have their own record. */
function subjectOf(
  { type, principalId, accountId, sessionContext }: z.output<typeof Identity>,
  account: string,
): NativeId | undefined {
  if (accountId !== account) return undefined
  const issuer = sessionContext?.sessionIssuer?.principalId
  if (type === 'Root') return rootId(account)
  if (type === 'IAMUser') return principalId ? { kind: 'user', id: principalId } : undefined
  if (type === 'FederatedUser') return issuer ? { kind: 'user', id: issuer } : undefined
  const role = type === 'AssumedRole' ? (issuer ?? principalId?.split(':')[0]) : undefined
  return role ? { kind: 'role', id: role } : undefined
}
