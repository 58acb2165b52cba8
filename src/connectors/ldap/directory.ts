import type { NativeId } from '../connector.ts'
import type { LdapSourceSettings } from './settings.ts'
import { hidden, search, type Session } from './session.ts'
import { stableId, textOf, textsOf } from './values.ts'
import { Denied, Unreadable } from '../connector.ts'

/** One naming context of a server. */
export type Directory = {
  readonly session: Session
  readonly base: string
  /** Entries below which is searched. */
  readonly under: readonly string[]
  readonly isActiveDirectory: boolean
  /** The context itself, by the id of its entry. */
  readonly root: NativeId
  readonly system: string
}

/** [MS-ADTS] §3.1.1.3.4.3: what a directory that is Active Directory, or Samba, says of itself. */
const AD_CAPABILITY = '1.2.840.113556.1.4.800'

export async function openDirectory(
  session: Session,
  settings: LdapSourceSettings,
  signal: AbortSignal,
): Promise<Directory> {
  const attributes = ['namingContexts', 'defaultNamingContext', 'supportedCapabilities', 'vendorName', 'vendorVersion']
  const dse = await one(session, '', attributes, signal)
  const [context] = dse ? textsOf(dse, 'namingContexts') : []
  const base = settings.base ?? (dse && textOf(dse, 'defaultNamingContext')) ?? context
  if (!dse || base === undefined) throw new Unreadable('the server names no directory: name its base in the settings')
  const isActiveDirectory = textsOf(dse, 'supportedCapabilities').includes(AD_CAPABILITY)
  const entry = await one(session, base, ['objectGUID', 'entryUUID'], signal)
  const id = entry && stableId(entry)
  if (id === undefined)
    throw new Denied({
      what: 'which directory this is',
      why: 'the login may not read the entry by whose id a directory is known',
      permission: `to read ${base} with its objectGUID or entryUUID`,
    })
  return {
    session,
    base,
    under: settings.under ?? [base],
    isActiveDirectory,
    root: { kind: 'directory', id },
    system: [
      textOf(dse, 'vendorName') ?? (isActiveDirectory ? 'Active Directory' : 'LDAP'),
      textOf(dse, 'vendorVersion') ?? '',
    ]
      .join(' ')
      .trim(),
  }
}

/**
 * Throws `Denied` where an entry that must be there is not seen. Active Directory answers a search below what it hides with nothing and success, so
 * it is asked before and after: what is below would otherwise look gone.
 */
export async function mustSee(
  { session }: Pick<Directory, 'session'>,
  base: string,
  signal: AbortSignal,
): Promise<void> {
  const entry = await one(session, base, ['objectGUID', 'entryUUID'], signal)
  if (!entry || stableId(entry) === undefined) throw new Denied(hidden(base))
}

async function one(session: Session, base: string, attributes: readonly string[], signal: AbortSignal) {
  for await (const entries of search(session, { base, scope: 'base', filter: '(objectClass=*)', attributes }, signal))
    if (entries[0]) return entries[0]
  return undefined
}
