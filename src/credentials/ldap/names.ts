import type { Act } from '../rotation/rotator.ts'
import { LeaseFailure } from '../writer.ts'
import type { LdapSettings } from './settings.ts'

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@ -]{0,99}$/

/** The DN of an account, right below where accounts are. The provisioner alone is named by its DN, and acts on itself alone. */
export function dnOf(settings: LdapSettings, user: string): string {
  if (user.includes('=')) return user
  if (!NAME.test(user) || user.endsWith(' ')) throw new LeaseFailure('the account has a name that no entry is found by')
  return `${settings.naming}=${user},${settings.accountsUnder}`
}

/** Throws where an account says that it is some other entry of the directory. */
export function mustBeAccount({ user, actors }: Pick<Act, 'user' | 'actors'>): void {
  if (!user.includes('=') || actors[0]?.user === user) return
  throw new LeaseFailure('an account is named as it is below accountsUnder, not by a DN')
}
