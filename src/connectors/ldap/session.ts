/** A bound connection to one server: searches in pages, bounded in bytes and time, referrals not followed. */
import type { Entry } from 'ldapts'
import { ldapCode, LdapNowhere, LdapRefused, openLdap, type LdapConnection } from '../../kernel/ldap-client.ts'
import { Denied, SlowDown, Unreadable, type Missing } from '../connector.ts'
import type { LdapSourceCredential, LdapSourceSettings } from './settings.ts'

const PAGE_ENTRIES = 500
/** A page of entries with all their members; a server that sends more is cut off. */
const PAGE_BYTES = 128 * 1024 * 1024
/** Values that are no text. */
const BYTES = ['objectGUID', 'objectSid', 'msDS-AllowedToActOnBehalfOfOtherIdentity', 'msDS-GroupMSAMembership']
/** More entries than one directory has. */
const ENTRIES_MAX = 20_000_000
/** Pages in a row that may be empty, as filters leave them. */
const EMPTY_MAX = 1_000

export type Session = Pick<LdapConnection, 'page' | 'compare' | 'beginAnswer' | 'close'>

export type Search = {
  readonly base: string
  readonly scope: 'base' | 'sub'
  readonly filter: string
  readonly attributes: readonly string[]
}

/** Logs in over TLS, or on this machine without. */
export async function openSession(
  settings: LdapSourceSettings,
  credential: LdapSourceCredential,
  signal: AbortSignal,
): Promise<Session> {
  const login = { ...credential, maxBytes: PAGE_BYTES }
  try {
    return await openLdap(settings, login, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof LdapNowhere) throw new Unreadable('the address of the source is one that no system has')
    throw new Unreadable(
      ldapCode(error) === 49 ? 'the server does not accept the login' : 'the server cannot be entered over TLS',
      { cause: error },
    )
  }
}

/** Every entry, page by page (RFC 2696). What the server does not let be seen is `Denied`; its own limits are said. */
export async function* search(session: Session, asked: Search, signal: AbortSignal): AsyncGenerator<Entry[], number> {
  const { base, scope, filter, attributes } = asked
  const options = {
    scope,
    filter,
    attributes: [...attributes],
    explicitBufferAttributes: [...BYTES],
    derefAliases: 'never' as const,
  }
  let referrals = 0
  let empty = 0
  let entries = 0
  let cookie: Buffer = Buffer.alloc(0)
  const places = new Places()
  try {
    do {
      session.beginAnswer()
      const page = await session.page(base, options, { size: PAGE_ENTRIES, cookie })
      signal.throwIfAborted()
      cookie = page.cookie
      referrals += page.searchReferences.length
      entries += page.searchEntries.length
      if (entries > ENTRIES_MAX) throw new Unreadable('it has more entries than any directory has')
      const [first] = page.searchEntries
      empty = first ? 0 : empty + 1
      if (empty > EMPTY_MAX) throw new Unreadable('the server gives empty pages without end')
      if (first) places.step(first.dn)
      if (first) yield page.searchEntries
    } while (cookie.length > 0)
  } catch (error) {
    signal.throwIfAborted()
    throw reasonOf(error, base)
  }
  return referrals
}

/** The result of a comparison, RFC 4511 §4.10. */
export async function compared(
  session: Session,
  { dn, attribute, value }: { readonly dn: string; readonly attribute: string; readonly value: string },
  signal: AbortSignal,
): Promise<number> {
  try {
    session.beginAnswer()
    return await session.compare(dn, attribute, value)
  } catch (error) {
    signal.throwIfAborted()
    throw reasonOf(error, dn)
  }
}

/** Notices pages that go round in circles, by Brent's way: one is remembered, and moved on at each power of two. */
class Places {
  /** The root of a server has the empty name. */
  #remembered: string | undefined
  #steps = 0
  #until = 1

  step(place: string): void {
    if (place === this.#remembered) throw new Unreadable('the server gives the same pages again and again')
    this.#steps += 1
    if (this.#steps < this.#until) return
    this.#remembered = place
    this.#until *= 2
    this.#steps = 0
  }
}

/** What a login does not see and cannot know of. */
export function hidden(base: string): Missing {
  return {
    what: `what is below ${base}`,
    why: 'it is not there for this login',
    permission: `to read ${base} and what is below it`,
  }
}

/** RFC 4511 §4.1.9. A server that hides an entry says that there is none. */
function reasonOf(error: unknown, base: string): unknown {
  if (error instanceof LdapRefused) return new Unreadable(error.message, { cause: error })
  switch (ldapCode(error)) {
    case 32:
    case 50:
      return new Denied(hidden(base), { cause: error })
    case 1:
    case 49:
      return new Denied(
        {
          what: `what is below ${base}`,
          why: 'the server does not take the login any more',
          permission: 'a login that may search',
        },
        { cause: error },
      )
    case 3:
    case 4:
    case 11:
      return new Unreadable('the server gives no more to this login: its limit of size or time was met', {
        cause: error,
      })
    case 51:
    case 52:
      return new SlowDown(undefined, { cause: error })
    case undefined:
    default:
      return error
  }
}
