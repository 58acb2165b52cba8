import { saltedSha1, sha256 } from '../../kernel/crypto.ts'
import { ldapCode } from '../../kernel/ldap-client.ts'
import type { Random } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Act, LoginRotator, Place, SecretChange, TargetLogin, Tried } from '../rotation/rotator.ts'
import { LeaseFailure, TargetDown } from '../writer.ts'
import { actOn, bind, codeOf, fenced, MAY_NOT, modifyFenced, type Directory } from './directory.ts'
import { dnOf } from './names.ts'
import { LdapSettings } from './settings.ts'
import { prepareTwin } from './twin.ts'

const SECRET_BYTES = 32
const SALT_BYTES = 16
/** No such entry or secret; none that could be tried. */
const WRONG: ReadonlySet<number> = new Set([48, 49])
/** The server is unwilling: 389 Directory Server says it of an entry that is shut. */
const NOT_LET_IN = 53
/** Of Active Directory behind a 49: shut, run out, locked. */
const NOT_ITS_SECRET = /data (530|531|532|533|701|773|775)/

/**
 * Passwords of entries of a directory. There is one per entry, so two entries of the same groups take turns, or one is cut over. The server is sent a hash that was
 * made here, in the same modification as the mark of the rotation, so an act that was overtaken changes nothing. Who is connected goes on: a
 * directory does not end connections of others.
 */
export const ldapLoginRotator: LoginRotator = {
  protocol: 'ldap',
  make: (random: Random) => new Secret(random.bytes(SECRET_BYTES).toString('base64url')),
  change: (place, change, signal) =>
    actOn(place, change, signal, (directory, actor) => setPassword(directory, change, actor)),
  tryLogin,
  endSessions: async () => undefined,
  turns: {
    endsSessions: false,
    prepare: (place, act, signal) => actOn(place, act, signal, (directory) => prepareTwin(directory, act)),
    allow: (place, { isAllowed, secret, ...act }, signal) =>
      actOn(place, act, signal, (directory, actor) => {
        if (isAllowed && !secret) throw new LeaseFailure('the secret of the login is not known any more')
        return secret && isAllowed ? setPassword(directory, { ...act, secret }, actor) : shut(directory, act)
      }),
    forget: (place, act, signal) =>
      actOn(place, act, signal, async (directory) => {
        await shut(directory, act)
        await mustNotBeLocked(directory, act.user)
      }),
  },
}

async function setPassword(directory: Directory, change: SecretChange, actor: TargetLogin): Promise<void> {
  const { user, secret, mark, isWanted } = change
  const dn = dnOf(directory.settings, user)
  const salt = sha256(secret.reveal()).subarray(0, SALT_BYTES)
  const changes = [{ operation: 'replace' as const, type: 'userPassword', values: [saltedSha1(secret.reveal(), salt)] }]
  const step = 'changing the secret'
  const isItself = actor.user === user
  try {
    await modifyFenced(directory, {
      step,
      dn,
      changes,
      marked: await fenced(directory, { dn, mark, isWanted, isItself }),
    })
  } catch (error) {
    // An entry that may change its own password and nothing else has no mark, and no fence.
    const isBare = isItself && error instanceof LeaseFailure && ldapCode(error.cause) === MAY_NOT
    if (!isBare) throw error
    await directory.modify(step, dn, changes)
  }
}

type Shutting = Pick<Act, 'user' | 'isWanted'> & { readonly mark: string }

/** The hash of nothing that anybody knows. Classes of entries may ask for a password, so it is not just taken away. */
async function shut(directory: Directory, { user, mark, isWanted }: Shutting): Promise<void> {
  const dn = dnOf(directory.settings, user)
  const nobodys = Buffer.concat([sha256(`${mark} ${user}`), sha256(mark)]).subarray(0, 20 + SALT_BYTES)
  const values = [`{SSHA}${nobodys.toString('base64')}`]
  const changes = [{ operation: 'replace' as const, type: 'userPassword', values }]
  const marked = await fenced(directory, { dn, mark, isWanted })
  await modifyFenced(directory, { step: 'shutting it', dn, changes, marked })
}

/** A login that is locked is refused whatever its secret is (draft-behera-ldap-password-policy §5.3.3). */
async function mustNotBeLocked(directory: Directory, user: string): Promise<void> {
  const entry = await directory.read(dnOf(directory.settings, user), ['pwdAccountLockedTime'])
  if ((entry?.values['pwdAccountLockedTime'] ?? []).length > 0) {
    throw new LeaseFailure(
      `${user} is locked by the password policy there, which says nothing of its secret: unlock it`,
    )
  }
}

async function tryLogin(place: Place, who: TargetLogin, signal: AbortSignal): Promise<Tried> {
  try {
    const connection = await bind(LdapSettings.parse(place.settings), who, signal)
    await connection.close()
    return { isAccepted: true }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof LeaseFailure) throw error
    const code = ldapCode(error)
    if (code === undefined) throw new TargetDown(`the target cannot be reached (${codeOf(error)})`, { cause: error })
    const isLogin = code === NOT_LET_IN || (error instanceof Error && NOT_ITS_SECRET.test(error.message))
    if (isLogin) return { isAccepted: false, code: String(code), why: 'login' }
    if (WRONG.has(code)) return { isAccepted: false, code: String(code), why: 'secret' }
    throw new LeaseFailure(`trying the login gave no clear answer (${code})`, { cause: error })
  }
}
