import { sha256 } from '../../kernel/crypto.ts'
import type { Missing, NativeId } from '../connector.ts'
import { isFull, linesOf, textOf, type HostRecord } from './records.ts'
import { ACCOUNTS_BYTES } from './script.ts'
import type { SshSourceSettings } from './settings.ts'

/** One reading of a host, taken in one go. */
export type Host = {
  readonly settings: SshSourceSettings
  readonly now: Date
  readonly authority: string
  readonly system: string
  readonly isRoot: boolean
  readonly accounts: ReadonlyMap<string, Account>
  readonly groups: ReadonlyMap<string, Group>
  /** Lines of the databases of accounts and groups that name none. */
  readonly strange: number
  /** Whether those databases hold more than was read. */
  readonly isCut: boolean
  readonly records: readonly HostRecord[]
}
export type Account = {
  readonly uid: string
  /** The first that has this uid, and others that are the same account. */
  readonly names: string[]
  readonly gid: string
  readonly comment: string
  readonly home: string
  readonly shell: string
}
export type Group = { readonly gid: string; readonly name: string; readonly members: readonly string[] }

export const HOST: NativeId = { kind: 'host', id: 'host' }
export const SSHD: NativeId = { kind: 'sshd', id: 'sshd' }
export const accountId = (uid: string): NativeId => ({ kind: 'account', id: uid })
export const groupId = (gid: string): NativeId => ({ kind: 'group', id: gid })

/** What root would see of a scope. */
export function needsRoot(what: string): Missing {
  return {
    what,
    why: 'the login is not root',
    permission: 'settings.sudo, and in sudoers for the login: NOPASSWD: /bin/sh -s',
  }
}

/** Of the records that one script printed. */
export function hostOf(settings: SshSourceSettings, records: readonly HostRecord[], now: Date): Host {
  const self = records.find(({ word }) => word === 'self')
  const passwd = records.find(({ word }) => word === 'passwd')
  const group = records.find(({ word }) => word === 'group')
  const machine = self ? textOf(self, 1).trim() : ''
  // machine-id(5): the id itself is not for others. A host without one is known by its keys.
  const basis = machine === '' ? settings.hostKeys.toSorted((a, b) => a.localeCompare(b)).join('\n') : machine
  const accounts = new Map<string, Account>()
  let strange = 0
  for (const line of passwd ? linesOf(passwd, 0) : []) {
    const [name = '', uid = '', gid = '', comment = '', home = '', ...shell] = line.split(':')
    if (name === '' || !/^\d{1,10}$/.test(uid)) {
      strange += 1
      continue
    }
    const same = accounts.get(uid)
    if (same) same.names.push(name)
    else accounts.set(uid, { uid, names: [name], gid, comment, home, shell: shell.join(':') })
  }
  const groups = new Map<string, Group>()
  for (const line of group ? linesOf(group, 0) : []) {
    const [name = '', gid = '', members = ''] = line.split(':')
    if (name === '' || !/^\d{1,10}$/.test(gid)) strange += 1
    else if (!groups.has(gid))
      groups.set(gid, { gid, name, members: members.split(',').filter((member) => member !== '') })
  }
  return {
    settings,
    now,
    authority: `ssh:${sha256(`reeve ssh ${basis}`).toString('hex').slice(0, 32)}`,
    system: (self ? textOf(self, 2) : '') || 'Linux',
    isRoot: (self ? textOf(self, 0) : '') === '0',
    accounts,
    groups,
    strange,
    isCut: [passwd, group].some((record) => record && isFull(record, 0, ACCOUNTS_BYTES)),
    records,
  }
}

/** An account by its name; one that no database of the host has is known by that name alone. */
export function byName({ accounts }: Pick<Host, 'accounts'>): (name: string) => NativeId {
  const ids = new Map<string, string>()
  for (const { uid, names } of accounts.values()) for (const name of names) ids.set(name, uid)
  return (name) => {
    const uid = ids.get(name)
    return uid === undefined ? { kind: 'account-name', id: name || '-' } : accountId(uid)
  }
}

/** What the login could not read of a part, said by the script. */
export function closedOf({ records }: Host, part: string): string[] {
  return records.filter((each) => each.word === 'closed' && textOf(each, 0) === part).map((each) => textOf(each, 1))
}
