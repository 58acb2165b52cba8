import type { Entry } from 'ldapts'
import {
  credential,
  grant,
  known,
  principal,
  unknown,
  type Known,
  type NativeId,
  type Observation,
} from '../connector.ts'
import type { Directory } from './directory.ts'
import type { Absences } from './shown.ts'
import { fileTime, generalizedTime, numberOf, sidOf, stableId, textOf, textsOf } from './values.ts'

export const ACCOUNTS =
  '(|(objectClass=user)(objectClass=person)(objectClass=posixAccount)(objectClass=account)(objectClass=simpleSecurityObject)(objectClass=applicationProcess))'
/** No password, no hash and no key is among these. */
export const ACCOUNT_ATTRIBUTES = [
  'objectGUID',
  'objectSid',
  'entryUUID',
  'objectClass',
  'cn',
  'uid',
  'sAMAccountName',
  'userPrincipalName',
  'displayName',
  'description',
  'mail',
  'manager',
  'managedBy',
  'department',
  'ou',
  'whenCreated',
  'createTimestamp',
  'creatorsName',
  'userAccountControl',
  'msDS-User-Account-Control-Computed',
  'accountExpires',
  'pwdLastSet',
  'msDS-UserPasswordExpiryTimeComputed',
  'servicePrincipalName',
  'msDS-AllowedToDelegateTo',
  'msDS-AllowedToActOnBehalfOfOtherIdentity',
  'msDS-GroupMSAMembership',
  'msDS-ManagedPasswordInterval',
  'adminCount',
  'lastLogon',
  'lastLogonTimestamp',
  'primaryGroupID',
  'pwdChangedTime',
  'pwdAccountLockedTime',
  'authTimestamp',
  'pwdLastSuccess',
  'shadowExpire',
  'shadowLastChange',
  'uidNumber',
  'loginShell',
]

/** [MS-ADTS] §2.2.16, bits of `userAccountControl`. */
const DISABLED = 0x2
const LOCKED = 0x10
const NO_PASSWORD_NEEDED = 0x20
const REVERSIBLE = 0x80
const NEVER_EXPIRES = 0x10000
const DELEGATES_ANYWHERE = 0x80000
const DES_ONLY = 0x200000
const NO_PREAUTH = 0x400000
const EXPIRED = 0x800000
const DELEGATES_ANY_PROTOCOL = 0x1000000
const NEVER_DELEGATED = 0x100000
const CONTROLLER = 0x2000 | 0x4000000

export const accountOf = (id: string): NativeId => ({ kind: 'account', id })

const has = (bits: number | undefined, bit: number) => ((bits ?? 0) & bit) !== 0

/** An account with its password, what it may act as, and when it was last used. What is hidden, or may be, is not said to be nothing. */
export function tellAccount(directory: Directory, entry: Entry, lacks: Absences, now: Date): Observation[] {
  const native = stableId(entry)
  if (native === undefined) return []
  const id = accountOf(native)
  const bits = numberOf(entry, 'userAccountControl')
  const spns = textsOf(entry, 'servicePrincipalName')
  const classes = textsOf(entry, 'objectClass').map((each) => each.toLowerCase())
  const name = textOf(entry, 'sAMAccountName') ?? textOf(entry, 'uid') ?? textOf(entry, 'cn') ?? entry.dn
  return [
    principal({
      id,
      type: typeOf(classes, spns),
      name,
      aliases: [entry.dn, ...['userPrincipalName', 'displayName'].flatMap((each) => textOf(entry, each) ?? [])],
      state: stateOf(directory, entry, lacks, now),
      createdAt: orUnknown(generalizedTime(textOf(entry, 'whenCreated') ?? textOf(entry, 'createTimestamp'))),
      tags: tagsOf(entry),
      facts: {
        // Nothing tells none from hidden ones.
        servicePrincipals: spns.length > 0 ? spns : null,
        sid: sidOf(entry) ?? null,
        classes,
        isAdministered: isOne(numberOf(entry, 'adminCount')),
        uidNumber: numberOf(entry, 'uidNumber') ?? null,
        ...(bits !== undefined && {
          neverDelegated: has(bits, NEVER_DELEGATED),
          needsNoPreauthentication: has(bits, NO_PREAUTH),
          isController: has(bits, CONTROLLER),
        }),
      },
    }),
    passwordOf(directory, entry, lacks, { id, name, bits, spns }),
    ...delegationOf(directory, entry, id, bits),
    ...usesOf(entry, id),
  ]
}

function typeOf(classes: readonly string[], spns: readonly string[]): 'service' | 'device' | 'account' {
  if (classes.some((each) => /^msds-(?:group)?managedserviceaccount$|^applicationprocess$/.test(each))) return 'service'
  if (classes.includes('computer')) return 'device'
  return spns.length > 0 ? 'service' : 'account'
}

function orUnknown(at: Date | undefined): Known<Date> {
  return at ? known(at) : unknown('unsupported')
}

function tagsOf(entry: Entry): Record<string, string> {
  const names = ['description', 'mail', 'manager', 'managedBy', 'department', 'creatorsName']
  return Object.fromEntries(
    names.flatMap((name) => (textOf(entry, name) === undefined ? [] : [[name, textOf(entry, name) ?? '']])),
  )
}

/** Undefined is not no: the attribute may be hidden. */
export function isOne(number: number | undefined): boolean | null {
  return number === undefined ? null : number === 1
}

function stateOf({ isActiveDirectory }: Directory, entry: Entry, lacks: Absences, now: Date) {
  const shadow = numberOf(entry, 'shadowExpire')
  if (!isActiveDirectory) {
    const locked = textOf(entry, 'pwdAccountLockedTime')
    if (locked !== undefined) return known('locked' as const)
    if (shadow !== undefined && shadow >= 0 && shadow * 86_400_000 <= now.getTime()) return known('expired' as const)
    const dark = [lacks['pwdAccountLockedTime'], lacks['shadowExpire']]
    if (dark.includes('hidden')) return unknown('denied')
    return dark.includes('untold') ? unknown('not-collected') : known('active' as const)
  }
  const bits = numberOf(entry, 'userAccountControl')
  if (bits === undefined) return unknown('denied')
  if (has(bits, DISABLED)) return known('disabled' as const)
  if (has(numberOf(entry, 'msDS-User-Account-Control-Computed'), LOCKED)) return known('locked' as const)
  if (lacks['accountExpires'] === 'hidden') return unknown('denied')
  const ends = fileTime(numberOf(entry, 'accountExpires'))
  return known(ends && ends <= now ? ('expired' as const) : ('active' as const))
}

type About = {
  readonly id: NativeId
  readonly name: string
  readonly bits: number | undefined
  readonly spns: readonly string[]
}

function passwordOf(
  { isActiveDirectory }: Directory,
  entry: Entry,
  lacks: Absences,
  { id, name, bits, spns }: About,
): Observation {
  const computed = numberOf(entry, 'msDS-User-Account-Control-Computed')
  const end = numberOf(entry, 'msDS-UserPasswordExpiryTimeComputed')
  const ends = fileTime(end)
  const isEndless = has(bits, NEVER_EXPIRES) || (end !== undefined && end >= 9.2e18)
  const weak = [
    ...(has(bits, NO_PASSWORD_NEEDED) ? ['the account needs no password'] : []),
    ...(has(bits, REVERSIBLE) ? ['the password is kept so that it can be read back'] : []),
    ...(has(bits, DES_ONLY) ? ['its keys are DES only'] : []),
    ...(has(bits, NO_PREAUTH) ? ['anybody may ask for what its password encrypts'] : []),
  ]
  const isHidden = lacks['pwdLastSet'] === 'hidden' || lacks['pwdChangedTime'] === 'hidden'
  const lastSet = numberOf(entry, 'pwdLastSet')
  const changed = fileTime(lastSet) ?? generalizedTime(textOf(entry, 'pwdChangedTime'))
  return credential({
    id: { kind: 'password', id: id.id },
    principal: known(id),
    type: 'password',
    name,
    state: has(computed, EXPIRED) ? known('expired') : unknown('unsupported'),
    rotatedAt: changed ? known(changed) : unknown(isHidden ? 'denied' : 'unsupported'),
    expiresAt: isEndless ? known('never') : ends ? known(ends) : unknown('unsupported'),
    strength: weak.length > 0 ? known('weak') : unknown('unsupported'),
    strengthWhy: weak,
    facts: {
      // Whoever may log in may ask for a ticket that this password encrypts.
      isOfServicePrincipal: spns.length > 0 ? true : null,
      // [MS-ADTS] §2.2.2.2: the directory makes it, and anew after so many days.
      managedDays: numberOf(entry, 'msDS-ManagedPasswordInterval') ?? null,
      mustChange: isActiveDirectory ? (lastSet === undefined ? null : lastSet === 0) : null,
    },
  })
}

/** [MS-SFU]: as whom an account may act, and before what. */
function delegationOf({ base, root }: Directory, entry: Entry, id: NativeId, bits: number | undefined): Observation[] {
  const told: Observation[] = []
  if (has(bits, DELEGATES_ANYWHERE))
    told.push(
      grant({
        id: { kind: 'delegation', id: `${id.id}/*` },
        principal: id,
        on: root,
        privilege: 'UNCONSTRAINED DELEGATION',
        level: 'impersonate',
        facts: { base },
      }),
    )
  for (const service of new Set(textsOf(entry, 'msDS-AllowedToDelegateTo')))
    told.push(
      grant({
        id: { kind: 'delegation', id: `${id.id}/${service}` },
        principal: id,
        on: { kind: 'service-principal', id: service },
        privilege: 'DELEGATE TO',
        level: 'impersonate',
        facts: { fromAnyProtocol: has(bits, DELEGATES_ANY_PROTOCOL) },
      }),
    )
  return told
}

/** The two meanings of a last logon are kept apart: one is this controller's own and exact, one is everybody's and late. */
function usesOf(entry: Entry, id: NativeId): Observation[] {
  const found: readonly (readonly [string, Date | undefined])[] = [
    ['last logon at this controller', fileTime(numberOf(entry, 'lastLogon'))],
    ['last logon anywhere, up to 14 days late', fileTime(numberOf(entry, 'lastLogonTimestamp'))],
    ['last bind at this server', generalizedTime(textOf(entry, 'authTimestamp') ?? textOf(entry, 'pwdLastSuccess'))],
  ]
  return found.flatMap(([privilege, at]): Observation[] =>
    at ? [{ kind: 'usage', subject: id, semantics: 'auth', at, privilege, actor: unknown('unsupported') }] : [],
  )
}
