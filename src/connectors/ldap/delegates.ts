import type { Entry } from 'ldapts'
import { grant, type NativeId, type Observation } from '../connector.ts'
import { accountOf } from './accounts.ts'
import { letIn } from './descriptor.ts'
import type { Directory } from './directory.ts'
import { search } from './session.ts'
import { bytesOf, stableId, textsOf } from './values.ts'

/** Accounts on which others are let in by a list of their own: [MS-SFU] §1.3.2 by resource, [MS-ADTS] on passwords that the directory makes. */
const LISTS = [
  ['msDS-AllowedToActOnBehalfOfOtherIdentity', 'acting', 'ACT FOR ANYBODY AT'],
  ['msDS-GroupMSAMembership', 'managed-password', 'READ MANAGED PASSWORD'],
] as const

/** Who is who by SID, as far as it was looked up. */
export type Sids = Map<string, NativeId>

/** Who may act for anybody before these accounts, and who is given their passwords; a list that cannot be read is counted. */
export async function tellDelegates(
  directory: Directory,
  entries: readonly Entry[],
  holes: { descriptors: number },
  sids: Sids,
  signal: AbortSignal,
): Promise<Observation[]> {
  const told: Observation[] = []
  for (const entry of entries) {
    const native = stableId(entry)
    for (const [attribute, kind, privilege] of LISTS) {
      const bytes = bytesOf(entry, attribute)
      if (!bytes || native === undefined) continue
      const found = letIn(bytes)
      if (!found) holes.descriptors += 1
      for (const sid of found ?? [])
        told.push(
          grant({
            id: { kind, id: `${native}/${sid}` },
            principal: await whoIs(directory, sid, sids, signal),
            on: accountOf(native),
            privilege,
            level: 'impersonate',
            facts: { sid },
          }),
        )
    }
  }
  return told
}

/** [MS-ADTS] §3.1.1.3.1.3: a SID may be asked for in words. One of no entry here is told as it is. */
async function whoIs(directory: Directory, sid: string, sids: Sids, signal: AbortSignal): Promise<NativeId> {
  const before = sids.get(sid)
  if (before) return before
  const asked = {
    base: directory.base,
    scope: 'sub' as const,
    filter: `(objectSid=${sid})`,
    attributes: ['objectGUID', 'objectClass'],
  }
  let id: NativeId = { kind: 'sid', id: sid }
  for await (const [entry] of search(directory.session, asked, signal)) {
    const native = entry && stableId(entry)
    if (!entry || native === undefined) continue
    const isGroup = textsOf(entry, 'objectClass').some((each) => each.toLowerCase() === 'group')
    id = isGroup ? { kind: 'group', id: native } : accountOf(native)
  }
  sids.set(sid, id)
  return id
}
