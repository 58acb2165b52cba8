import {
  Denied,
  inPages,
  known,
  loginOf,
  resource,
  sourceOfParts,
  type Connector,
  type Manifest,
  type Missing,
  type Observation,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
} from '../connector.ts'
import { ACCOUNT_ATTRIBUTES, ACCOUNTS, tellAccount } from './accounts.ts'
import { tellDelegates, type Sids } from './delegates.ts'
import { mustSee, openDirectory, type Directory } from './directory.ts'
import { tellGroups } from './groups.ts'
import { openSession, search } from './session.ts'
import { LdapSourceCredential, LdapSourceSettings } from './settings.ts'
import { hiddenBelow, Shown } from './shown.ts'
import { isCut, stableId } from './values.ts'

type Part = {
  readonly gives: string
  readonly permission: string
  readonly read: (directory: Directory, now: Date, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
}

const PARTS: Readonly<Record<string, Part>> = {
  directory: { gives: 'the naming context', permission: 'to read its entry', read: readDirectory },
  accounts: {
    gives: 'accounts, service principals, delegation, age and end of passwords, last logons',
    permission: 'to read the entries below settings.under',
    read: readAccounts,
  },
  groups: {
    gives: 'groups with their members, nested ones too, and which rule the directory',
    permission: 'to read the entries below settings.under, with member',
    read: (directory, _now, signal) => readGroups(directory, signal),
  },
}

const manifest: Manifest = {
  id: 'ldap',
  version: '1',
  source: 'directories by LDAP, Active Directory and Samba among them',
  observes: ['principal', 'credential', 'resource', 'grant', 'usage'],
  reads: Object.entries(PARTS).map(([scope, { gives, permission }]) => ({
    scope,
    gives,
    permission,
    isOptional: scope !== 'directory',
  })),
  writes: [],
  blindSpots: [
    'single entries that the server hides from the login beside others that it shows: they look like entries that are not there. What is named in settings.under, and in OpenLDAP everything below an entry, is known to be hidden',
    'attributes that Active Directory hides, but for those that every account has; in OpenLDAP single values of a list',
    'passwords and their hashes: not asked for, so the same value elsewhere is not recognised',
    'logons at other controllers: lastLogon is of the one that is asked, lastLogonTimestamp of all and up to 14 days late',
    'who may change an entry: of security descriptors only those on delegation by resource and on managed passwords are read, no other access rules',
    'other partitions and directories that the server refers to',
    'which password policy holds in OpenLDAP, and so when a password ends there',
  ],
  metadataHandling:
    'Names, ids, SIDs, mail addresses, descriptions, managers, service principals, flags, times, members. No password, no hash, no key.',
  risks: ['NHI1:2025', 'NHI2:2025', 'NHI4:2025', 'NHI5:2025', 'NHI7:2025', 'NHI10:2025'],
}

/** Reads who is in a directory, in which groups, and as whom they may act. */
export const ldapConnector: Connector = {
  manifest,
  settings: LdapSourceSettings,
  credential: LdapSourceCredential,
  address: (settings) => LdapSourceSettings.parse(settings).url,
  async open(given, signal): Promise<OpenSource> {
    const settings = LdapSourceSettings.parse(given.settings)
    const login = loginOf(given, LdapSourceCredential, 'login to read it with')
    const session = await openSession(settings, login, signal)
    try {
      const directory = await openDirectory(session, settings, signal)
      return sourceOfParts(PARTS, {
        probe: (until) => probe(directory, until),
        read: (part, _since, until) => part.read(directory, given.clock.now(), until),
        close: () => session.close(),
      })
    } catch (error) {
      await session.close()
      throw error
    }
  },
}

async function* readDirectory({ base, root, system }: Directory): AsyncGenerator<Page, ScopeReport> {
  yield {
    observations: [resource({ id: root, type: 'directory', name: base, sensitivity: known(0), facts: { system } })],
  }
  return { status: 'complete', missing: [] }
}

async function* readAccounts(directory: Directory, now: Date, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const told = new Set<string>()
  const sids: Sids = new Map()
  const shown = new Shown(directory, signal)
  const holes = { nameless: 0, referrals: 0, descriptors: 0, cut: 0 }
  for (const base of directory.under) {
    await mustSee(directory, base, signal)
    const asked = { base, scope: 'sub' as const, filter: ACCOUNTS, attributes: ACCOUNT_ATTRIBUTES }
    const reading = search(directory.session, asked, signal)
    for (;;) {
      const next = await reading.next()
      if (next.done) {
        holes.referrals += next.value
        break
      }
      const fresh = next.value.filter((entry) => {
        const id = stableId(entry)
        if (id === undefined) holes.nameless += 1
        if (id === undefined || told.has(id)) return false
        told.add(id)
        if (isCut(entry)) holes.cut += 1
        return true
      })
      const observations: Observation[] = []
      for (const entry of fresh) observations.push(...tellAccount(directory, entry, await shown.ofAccount(entry), now))
      yield* inPages([...observations, ...(await tellDelegates(directory, fresh, holes, sids, signal))])
    }
    await mustSee(directory, base, signal)
  }
  return closed(directory, holes, [...shown.missing('accounts'), ...(await hiddenBelow(directory, signal))])
}

async function* readGroups(directory: Directory, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = { nameless: 0, referrals: 0, descriptors: 0, cut: 0 }
  for (const base of directory.under) await mustSee(directory, base, signal)
  const shown = new Shown(directory, signal)
  yield* tellGroups(directory, shown, holes, signal)
  for (const base of directory.under) await mustSee(directory, base, signal)
  return closed(directory, holes, [...shown.missing('groups'), ...(await hiddenBelow(directory, signal))])
}

type Holes = Readonly<Record<'nameless' | 'referrals' | 'descriptors' | 'cut', number>>

/** Active Directory always refers to its other partitions, which hold no accounts. */
function closed(
  directory: Directory,
  { nameless, referrals, descriptors, cut }: Holes,
  unseen: readonly Missing[],
): ScopeReport {
  const missing = [...unseen]
  if (nameless > 0)
    missing.push({
      what: `${nameless} entries`,
      why: 'they have no id that stays',
      permission: 'to read objectGUID or entryUUID',
    })
  if (cut > 0)
    missing.push({ what: `further values of ${cut} entries`, why: 'the server gives only the first of them' })
  if (descriptors > 0)
    missing.push({
      what: `${descriptors} lists of who may act for others`,
      why: 'they are not written as the protocol has them',
    })
  if (referrals > 0 && !directory.isActiveDirectory)
    missing.push({ what: 'parts of the directory on other servers', why: 'referrals are not followed' })
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

async function probe(directory: Directory, signal: AbortSignal) {
  const missing: Missing[] = []
  for (const base of directory.under) {
    try {
      await mustSee(directory, base, signal)
    } catch (error) {
      if (!(error instanceof Denied)) throw error
      missing.push(error.missing)
    }
  }
  const probed = Object.keys(PARTS).map((scope): ProbedScope => {
    const without = scope === 'directory' ? [] : missing
    return { scope, isVisible: without.length === 0, missing: without }
  })
  return { authority: `ldap:${directory.root.id}`, system: directory.system, scopes: probed }
}
