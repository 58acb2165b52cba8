import type { Entry } from 'ldapts'
import { grant, known, principal, Unreadable, type NativeId, type Observation, type Page } from '../connector.ts'
import { accountOf, ACCOUNTS, isOne } from './accounts.ts'
import type { Directory } from './directory.ts'
import { search, type Search } from './session.ts'
import type { Shown } from './shown.ts'
import { dnKey, generalizedTime, isCut, numberOf, sidOf, stableId, textOf, textsOf } from './values.ts'

const GROUPS =
  '(|(objectClass=group)(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))'
const GROUP_ATTRIBUTES = [
  'objectGUID',
  'objectSid',
  'entryUUID',
  'objectClass',
  'cn',
  'sAMAccountName',
  'description',
  'managedBy',
  'owner',
  'mail',
  'whenCreated',
  'createTimestamp',
  'groupType',
  'adminCount',
  'gidNumber',
  'member',
  'uniqueMember',
  'memberUid',
]
const NAME_ATTRIBUTES = ['objectGUID', 'objectSid', 'entryUUID', 'objectClass', 'uid', 'primaryGroupID', 'gidNumber']
/** More entries than one directory has and a node can name at once. */
const NAMED_MAX = 2_000_000
/** Members of one group beyond those of the first answer ([MS-ADTS] §3.1.1.3.1.3.3, ranges of values). */
const MEMBERS_MAX = 1_000_000
const PAGE = 4_000

const groupOf = (id: string): NativeId => ({ kind: 'group', id })

/** Groups that rule a domain, by the last part of their SID or the whole of a built-in one ([MS-DTYP] §2.4.2.4). */
const RULING = /^S-1-5-21-.*-(?:512|518|519|520|526|527)$|^S-1-5-32-(?:544|548|549|550|551)$/

type Names = {
  readonly byDn: Map<string, NativeId>
  readonly byUid: Map<string, NativeId>
  readonly bySid: Map<string, NativeId>
  /** Who is in a group by their own entry: the primary group of an account. */
  readonly primary: { readonly member: NativeId; readonly group: string }[]
}

/** Groups, who and which groups are in them, and which of them rule the directory. */
export async function* tellGroups(
  directory: Directory,
  shown: Shown,
  holes: { referrals: number; cut: number },
  signal: AbortSignal,
): AsyncGenerator<Page, void> {
  const names = await namesOf(directory, signal)
  const gids = new Map<string, NativeId>()
  let told: Observation[] = []
  const seen = new Set<string>()
  for (const base of directory.under) {
    const reading = search(directory.session, sub(base, GROUPS, GROUP_ATTRIBUTES), signal)
    for (;;) {
      const next = await reading.next()
      if (next.done) {
        holes.referrals += next.value
        break
      }
      for (const entry of next.value) {
        const native = stableId(entry)
        if (native === undefined || seen.has(native)) continue
        seen.add(native)
        if (isCut(entry)) holes.cut += 1
        await shown.ofGroup(entry)
        const gid = textOf(entry, 'gidNumber')
        if (gid !== undefined) gids.set(gid, groupOf(native))
        told.push(...tellGroup(directory, entry, groupOf(native)))
        const members = new Set<string>()
        for await (const member of membersOf(directory, entry, names, signal)) {
          const key = `${member.kind}/${member.id}`
          if (members.has(key)) continue
          members.add(key)
          told.push(membership(member, groupOf(native)))
          if (told.length < PAGE) continue
          yield { observations: told }
          told = []
        }
      }
      yield { observations: told }
      told = []
    }
  }
  for (const { member, group } of names.primary) {
    const id = names.bySid.get(group) ?? gids.get(group)
    if (id) told.push(membership(member, id, 'PRIMARY GROUP'))
    if (told.length < PAGE) continue
    yield { observations: told }
    told = []
  }
  yield { observations: told }
}

const sub = (base: string, filter: string, attributes: readonly string[]): Search => ({
  base,
  scope: 'sub',
  filter,
  attributes,
})

/** Members stand in groups by name: names are looked up first, all of the context, by ids alone. */
async function namesOf(directory: Directory, signal: AbortSignal): Promise<Names> {
  const names: Names = { byDn: new Map(), byUid: new Map(), bySid: new Map(), primary: [] }
  for (const base of directory.under) {
    for await (const entries of search(
      directory.session,
      sub(base, `(|${ACCOUNTS}${GROUPS})`, NAME_ATTRIBUTES),
      signal,
    )) {
      for (const entry of entries) {
        const native = stableId(entry)
        if (native === undefined || names.byDn.has(dnKey(entry.dn))) continue
        if (names.byDn.size >= NAMED_MAX) throw new Unreadable('it has more entries than any directory has')
        const isGroup = textsOf(entry, 'objectClass').some((each) =>
          /^(?:group|groupof(?:unique)?names|posixgroup)$/i.test(each),
        )
        const id = isGroup ? groupOf(native) : accountOf(native)
        names.byDn.set(dnKey(entry.dn), id)
        const uid = textOf(entry, 'uid')
        if (uid !== undefined && !isGroup) names.byUid.set(uid, id)
        const sid = sidOf(entry)
        if (sid !== undefined) names.bySid.set(sid, id)
        const rid = numberOf(entry, 'primaryGroupID')
        if (isGroup) continue
        if (rid !== undefined && sid !== undefined)
          names.primary.push({ member: id, group: sid.replace(/\d+$/, String(rid)) })
        else if (textOf(entry, 'gidNumber') !== undefined)
          names.primary.push({ member: id, group: textOf(entry, 'gidNumber') ?? '' })
      }
    }
  }
  return names
}

function tellGroup(directory: Directory, entry: Entry, id: NativeId): Observation[] {
  const sid = sidOf(entry)
  const made = generalizedTime(textOf(entry, 'whenCreated') ?? textOf(entry, 'createTimestamp'))
  const tags = ['description', 'managedBy', 'owner', 'mail'].flatMap((name) => {
    const text = textOf(entry, name)
    return text === undefined ? [] : [[name, text] as const]
  })
  const told: Observation[] = [
    principal({
      id,
      type: 'group',
      name: textOf(entry, 'sAMAccountName') ?? textOf(entry, 'cn') ?? entry.dn,
      aliases: [entry.dn],
      state: known('active'),
      ...(made && { createdAt: known(made) }),
      interactive: known(false),
      tags: Object.fromEntries(tags),
      facts: {
        sid: sid ?? null,
        isAdministered: isOne(numberOf(entry, 'adminCount')),
        groupType: numberOf(entry, 'groupType') ?? null,
      },
    }),
  ]
  if (sid !== undefined && RULING.test(sid))
    told.push(
      grant({
        id: { kind: 'rules-directory', id: id.id },
        principal: id,
        on: directory.root,
        privilege: 'BUILT-IN ADMINISTRATION',
        level: 'admin',
      }),
    )
  return told
}

function membership(member: NativeId, group: NativeId, privilege = 'MEMBER'): Observation {
  return grant({
    id: {
      kind: privilege === 'MEMBER' ? 'membership' : 'primary-membership',
      id: `${group.id}/${member.kind}/${member.id}`,
    },
    principal: member,
    on: group,
    privilege,
    level: 'use',
  })
}

/** Nested groups are members like others: who is in what in the end is the closure over these. */
async function* membersOf(
  directory: Directory,
  entry: Entry,
  names: Names,
  signal: AbortSignal,
): AsyncGenerator<NativeId, void> {
  for (const uid of textsOf(entry, 'memberUid')) yield names.byUid.get(uid) ?? { kind: 'uid', id: uid }
  for (const dn of [...textsOf(entry, 'uniqueMember'), ...textsOf(entry, 'member')])
    if (dn !== '') yield resolved(dn, names)
  // A group of many comes as `member;range=0-1499`: the next values are asked for by name.
  let range = rangeOf(entry)
  for (let from = -1; range && range.from > from;) {
    from = range.from
    for (const dn of range.values) yield resolved(dn, names)
    if (range.to === undefined) return
    if (range.to > MEMBERS_MAX) throw new Unreadable('a group has more members than any directory has')
    const asked: Search = {
      base: entry.dn,
      scope: 'base',
      filter: '(objectClass=*)',
      attributes: [`member;range=${range.to + 1}-*`],
    }
    range = undefined
    for await (const [more] of search(directory.session, asked, signal)) range ??= more && rangeOf(more)
  }
}

function rangeOf(entry: Entry): { from: number; to: number | undefined; values: string[] } | undefined {
  for (const name of Object.keys(entry)) {
    const parts = /^member;range=(\d{1,9})-(\d{1,9}|\*)$/i.exec(name)
    if (parts)
      return {
        from: Number(parts[1]),
        to: parts[2] === '*' ? undefined : Number(parts[2]),
        values: textsOf(entry, name),
      }
  }
  return undefined
}

function resolved(dn: string, { byDn }: Names): NativeId {
  return byDn.get(dnKey(dn)) ?? { kind: 'entry', id: dn }
}
