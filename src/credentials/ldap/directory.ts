import { ldapCode, openLdap, type LdapConnection } from '../../kernel/ldap-client.ts'
import type { Secret } from '../../kernel/secret.ts'
import { byTheFirst } from '../rotation/actors.ts'
import { RecordBehind, SecretRefused, type Act, type Place, type TargetLogin } from '../rotation/rotator.ts'
import { LeaseBusy, LeaseFailure, NotWanted, TargetDown } from '../writer.ts'
import { dnOf, mustBeAccount } from './names.ts'
import { LdapSettings } from './settings.ts'

const MAX_BYTES = 16 * 1024 * 1024
/** RFC 4511 §4.1.9. */
const WRONG = 49
const NO_SUCH_ATTRIBUTE = 16
export const EXISTS_ALREADY: ReadonlySet<number> = new Set([20, 68])
const NOT_THERE = 32
const CONSTRAINT = 19
export const MAY_NOT = 50

/** Of an entry: each attribute with its values as text. */
export type LdapEntry = { readonly dn: string; readonly values: Readonly<Record<string, readonly string[]>> }
type Change = {
  readonly operation: 'add' | 'delete' | 'replace'
  readonly type: string
  readonly values: readonly string[]
}

/** A directory as one of those who may change it. */
export type Directory = AsyncDisposable & {
  readonly settings: LdapSettings
  /** The entry of this DN with these attributes; undefined: there is none, or it is hidden. */
  read(dn: string, attributes: readonly string[]): Promise<LdapEntry | undefined>
  /** Groups below `groupsUnder` that name it, by DN or by uid. */
  groupsOf(dn: string, name: string): Promise<LdapEntry[]>
  /** All of it or nothing (RFC 4511 §4.6). */
  modify(step: string, dn: string, changes: readonly Change[]): Promise<void>
  add(step: string, dn: string, values: Readonly<Record<string, readonly string[]>>): Promise<void>
}

/** By the first of those who may. */
export function actOn(
  place: Place,
  act: Act,
  signal: AbortSignal,
  doing: (directory: Directory, actor: TargetLogin) => Promise<void>,
): Promise<void> {
  mustBeAccount(act)
  const isItsOwn = ({ cause }: LeaseFailure) => ldapCode(cause) !== undefined
  return byTheFirst(act.actors, isItsOwn, async (actor) => {
    await using directory = await enterDirectory(place, actor, signal)
    await doing(directory, actor)
  })
}

async function enterDirectory(place: Place, actor: TargetLogin, signal: AbortSignal): Promise<Directory> {
  const settings = LdapSettings.parse(place.settings)
  try {
    return directoryOf(await bindByAny(settings, actor, signal), settings, signal)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof LeaseFailure) throw error
    throw new TargetDown(`the directory cannot be entered (${codeOf(error)})`, { cause: error })
  }
}

/** By the secret that is known, or by what it may be since. */
async function bindByAny(settings: LdapSettings, who: TargetLogin, signal: AbortSignal): Promise<LdapConnection> {
  try {
    return await bind(settings, who, signal)
  } catch (error) {
    if (ldapCode(error) !== WRONG) throw error
    for (const secret of (await who.others?.()) ?? []) {
      try {
        return await bind(settings, { user: who.user, secret }, signal)
      } catch (again) {
        if (ldapCode(again) !== WRONG) throw again
      }
    }
    throw error
  }
}

/** A bare login. Without a password anybody would be let in as nobody (RFC 4513 §5.1.2). */
export function bind(
  settings: LdapSettings,
  { user, secret }: { readonly user: string; readonly secret: Secret },
  signal: AbortSignal,
): Promise<LdapConnection> {
  const password = secret.reveal()
  if (password === '') throw new LeaseFailure('the secret is empty')
  const { url, ca, plaintext } = settings
  const address = { url, authorities: ca, plaintext }
  return openLdap(address, { user: dnOf(settings, user), password, maxBytes: MAX_BYTES }, signal)
}

/** The server's or the system's code, and nothing of the target's own words. */
export function codeOf(error: unknown): string {
  const code = ldapCode(error)
  if (code !== undefined) return String(code)
  const own = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof own === 'string' && /^[A-Z0-9_]{1,60}$/.test(own) ? own : 'no code'
}

async function directoryOf(
  { client, beginAnswer, close }: LdapConnection,
  settings: LdapSettings,
  signal: AbortSignal,
): Promise<Directory> {
  const { Attribute, Change: ChangeOf, EqualityFilter, OrFilter } = await import('ldapts')
  const failing = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted()
    beginAnswer()
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      throw failureOf(step, error)
    }
  }
  const listed = async (base: string, options: Parameters<typeof client.search>[1]) =>
    (await client.search(base, options)).searchEntries.map(({ dn, ...found }) => ({ dn, values: textsIn(found) }))
  return {
    settings,
    read: (dn, attributes) =>
      failing('reading the entry', async () => {
        try {
          const [entry] = await listed(dn, { scope: 'base', attributes: [...attributes], derefAliases: 'never' })
          return entry
        } catch (error) {
          if (ldapCode(error) === NOT_THERE) return undefined
          throw error
        }
      }),
    groupsOf: (dn, name) =>
      failing('reading its groups', () => {
        const equal = (attribute: string, value: string) => new EqualityFilter({ attribute, value })
        const filters = [equal('member', dn), equal('uniqueMember', dn), equal('memberUid', name)]
        const filter = new OrFilter({ filters })
        return listed(settings.groupsUnder, {
          scope: 'sub',
          filter,
          attributes: ['objectClass'],
          derefAliases: 'never',
        })
      }),
    modify: (step, dn, changes) =>
      failing(step, () =>
        client.modify(
          dn,
          changes.map(
            ({ operation, type, values }) =>
              new ChangeOf({ operation, modification: new Attribute({ type, values: [...values] }) }),
          ),
        ),
      ),
    add: (step, dn, values) =>
      failing(step, () =>
        client.add(
          dn,
          Object.entries(values).map(([type, each]) => new Attribute({ type, values: [...each] })),
        ),
      ),
    [Symbol.asyncDispose]: close,
  }
}

const HINTS: ReadonlyMap<number, string> = new Map([
  [MAY_NOT, ': it lacks a right'],
  [NOT_THERE, ': there is no such entry'],
  [65, ': the classes of the entry leave no room for it'],
  [53, ': the server is unwilling'],
])

function failureOf(step: string, error: unknown): LeaseFailure {
  const code = ldapCode(error)
  if (code === undefined) return new TargetDown(`the directory cannot be reached (${codeOf(error)})`, { cause: error })
  const sentence = `${step} failed (${code}${HINTS.get(code) ?? ''})`
  if (code === CONSTRAINT) return new SecretRefused(`${sentence}: the target's own rules refuse it`, { cause: error })
  return new LeaseFailure(sentence, { cause: error })
}

function textsIn(found: Readonly<Record<string, unknown>>): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(found).map(([name, value]) => [
      name,
      [value].flat().flatMap((each) => (typeof each === 'string' ? [each] : [])),
    ]),
  )
}

const MARK = /^\[reeve rotation ([0-9a-f-]{36}) (\d{1,9})\]$/

/** What an act finds at the entry, and leaves: whoever acted meanwhile left another one, and this act fails whole. */
export type Marked = { readonly changes: readonly Change[] }

type Fencing = Pick<Act, 'isWanted'> & {
  readonly dn: string
  readonly mark: string | undefined
  readonly isItself?: boolean
}

/**
 * The fence of a directory, which has no lock: the last rotation stands in `description` with a count of its acts, and each act takes the value that it read away and
 * puts the next one in its place, in the same modification as what it does. It is read before it is asked whether the act is still wanted. Throws
 * `RecordBehind` where a later rotation has been: ids sort by birth.
 */
export async function fenced(directory: Directory, { dn, mark, isWanted, isItself = false }: Fencing): Promise<Marked> {
  const entry = await directory.read(dn, ['description'])
  // Who may do nothing but change its own password may not see itself either.
  if (!entry && !isItself) throw new LeaseFailure('there is no entry of this login')
  const standing = (entry?.values['description'] ?? []).filter((each) => MARK.test(each))
  const last = standing.map((each) => MARK.exec(each)).at(-1)
  if (mark !== undefined && last?.[1] !== undefined && last[1] > mark) {
    throw new RecordBehind(
      'the target knows a later rotation than this one: this record is older than what lives there',
    )
  }
  if (!(await isWanted())) throw new NotWanted('the rotation went on elsewhere')
  if (mark === undefined || !entry) return { changes: [] }
  const next = `[reeve rotation ${mark} ${Number(last?.[2] ?? 0) + 1}]`
  const away = standing.length > 0 ? [{ operation: 'delete' as const, type: 'description', values: standing }] : []
  return { changes: [...away, { operation: 'add', type: 'description', values: [next] }] }
}

/** Changes an entry under its fence. */
export async function modifyFenced(
  directory: Directory,
  {
    step,
    dn,
    changes,
    marked,
  }: { readonly step: string; readonly dn: string; readonly changes: readonly Change[]; readonly marked: Marked },
): Promise<void> {
  try {
    await directory.modify(step, dn, [...marked.changes, ...changes])
  } catch (error) {
    const code = error instanceof LeaseFailure ? ldapCode(error.cause) : undefined
    const isOvertaken = code === NO_SUCH_ATTRIBUTE || (code !== undefined && EXISTS_ALREADY.has(code))
    if (isOvertaken) throw new LeaseBusy('another attempt is under way')
    throw error
  }
}
