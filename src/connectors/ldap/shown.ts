/**
 * What is hidden and not absent. A search leaves out what the login may not read, without a word. A comparison does not: it has a result for an
 * attribute that is there, for one that is not, and for one that the login may not ask about (RFC 4511 §4.10). Active Directory has no such word; there
 * are attributes that every account has.
 */
import type { Entry } from 'ldapts'
import type { Missing } from '../connector.ts'
import type { Directory } from './directory.ts'
import { compared, hidden, search } from './session.ts'
import { dnKey, textOf, textsOf } from './values.ts'

/** Comparisons of one part; what is beyond is not said to be absent either. */
const COMPARED_MAX = 20_000
/** Entries that are held at once: those that have others below them. */
const PARENTS_MAX = 1_000_000
const NAMED = 5

/** `no such attribute`, `undefined attribute type`: RFC 4511 appendix A. */
const [NONE, UNHEARD_OF] = [16, 17]
const SHOWN_BY_COMPARISON = new Set([NONE, UNHEARD_OF])
/** Compare false and true, insufficient rights: it is there, or whether it is there is not for this login. */
const HIDDEN_BY_COMPARISON = new Set([5, 6, 50])

/** A value that the syntax of the attribute takes. */
const VALUES: Readonly<Record<string, string>> = {
  pwdAccountLockedTime: '19700101000000Z',
  pwdChangedTime: '19700101000000Z',
  shadowExpire: '0',
  memberUid: 'nobody',
}
/** [MS-ADTS] §3.1.1.3: the directory fills these in when it makes an account. */
const OF_EVERY_ACCOUNT = ['userAccountControl', 'accountExpires', 'pwdLastSet']

export type Absence = 'absent' | 'hidden' | 'untold'
/** Of one entry, by attribute; what is not named is there, or was not looked at. */
export type Absences = Readonly<Record<string, Absence>>

/** Looks at what entries lack, and counts what is hidden. */
export class Shown {
  readonly #directory: Directory
  readonly #signal: AbortSignal
  readonly #unheardOf = new Set<string>()
  readonly #hidden = new Map<string, number>()
  #compared = 0

  constructor(directory: Directory, signal: AbortSignal) {
    this.#directory = directory
    this.#signal = signal
  }

  async ofAccount(entry: Entry): Promise<Absences> {
    const classes = classesOf(entry)
    if (this.#directory.isActiveDirectory) {
      const lacking = classes.has('user') ? OF_EVERY_ACCOUNT.filter((each) => textOf(entry, each) === undefined) : []
      for (const each of lacking) this.#count(each)
      return Object.fromEntries(lacking.map((each) => [each, 'hidden']))
    }
    return {
      pwdAccountLockedTime: await this.#look(entry, 'pwdAccountLockedTime'),
      pwdChangedTime: await this.#look(entry, 'pwdChangedTime'),
      // RFC 2307 §3: no other class lets an entry have it.
      shadowExpire: classes.has('shadowaccount') ? await this.#look(entry, 'shadowExpire') : 'absent',
    }
  }

  /** Members of a group, which these classes must have (RFC 4519 §3.5, §3.6) and others may. */
  async ofGroup(entry: Entry): Promise<void> {
    const classes = classesOf(entry)
    const ranged = Object.keys(entry).some((each) => /^member;range=/i.test(each))
    if (classes.has('groupofnames') && !ranged && !has(entry, 'member')) this.#count('member')
    if (classes.has('groupofuniquenames') && !has(entry, 'uniqueMember')) this.#count('uniqueMember')
    if (classes.has('posixgroup') && !this.#directory.isActiveDirectory) await this.#look(entry, 'memberUid')
  }

  missing(what: string): Missing[] {
    return [...this.#hidden].map(([attribute, count]) => ({
      what: `${attribute} of ${count} ${what}`,
      why: 'the server does not show it to the login, so it is not known whether there is one',
      permission: `to read ${attribute}`,
    }))
  }

  #count(attribute: string): void {
    this.#hidden.set(attribute, (this.#hidden.get(attribute) ?? 0) + 1)
  }

  async #look(entry: Entry, attribute: string): Promise<Absence> {
    if (has(entry, attribute) || this.#unheardOf.has(attribute)) return 'absent'
    if (this.#compared >= COMPARED_MAX) return 'untold'
    this.#compared += 1
    const asked = { dn: entry.dn, attribute, value: VALUES[attribute] ?? '' }
    const code = await compared(this.#directory.session, asked, this.#signal)
    if (code === UNHEARD_OF) this.#unheardOf.add(attribute)
    if (SHOWN_BY_COMPARISON.has(code)) return 'absent'
    if (!HIDDEN_BY_COMPARISON.has(code)) return 'untold'
    this.#count(attribute)
    return 'hidden'
  }
}

const has = (entry: Entry, attribute: string) => textOf(entry, attribute) !== undefined
const classesOf = (entry: Entry) => new Set(textsOf(entry, 'objectClass').map((each) => each.toLowerCase()))

/**
 * Entries that have others below them, of which none is shown. `hasSubordinates` (X.501) counts what is there, not what the login may see; a server
 * that does not have it, or hides it, says nothing.
 */
export async function hiddenBelow(directory: Directory, signal: AbortSignal): Promise<Missing[]> {
  if (directory.isActiveDirectory) return []
  const found: string[] = []
  for (const base of directory.under) {
    const parents = new Map<string, string>()
    const seen = new Set<string>()
    const asked = { base, scope: 'sub' as const, filter: '(objectClass=*)', attributes: ['hasSubordinates'] }
    for await (const entries of search(directory.session, asked, signal)) {
      for (const entry of entries) {
        const above = parentOf(entry.dn)
        if (above !== undefined && seen.size < PARENTS_MAX) seen.add(dnKey(above))
        if (textOf(entry, 'hasSubordinates') === 'TRUE' && parents.size < PARENTS_MAX)
          parents.set(dnKey(entry.dn), entry.dn)
      }
    }
    for (const [key, dn] of parents) if (!seen.has(key)) found.push(dn)
  }
  const named = found.slice(0, NAMED).map((dn) => hidden(dn))
  const more = found.length - named.length
  const rest = { what: `what is below ${more} more entries`, why: 'it is not there for this login' }
  return more > 0 ? [...named, rest] : named
}

/** RFC 4514 §2.4: a comma that a backslash stands before is no end of a name. */
function parentOf(dn: string): string | undefined {
  const end = /^(?:[^\\,]|\\.)*,/s.exec(dn)?.[0].length
  return end === undefined ? undefined : dn.slice(end)
}
