import { LeaseFailure, NotWanted, type Probe, type Site } from '../writer.ts'
import { secretOf, valuesOf, type HandedWriter, type Values } from './handed.ts'

type Lending = {
  readonly kind: string
  readonly protocol: string
  /** What is said beside the login: where it is used. */
  readonly aboutOf: (site: Site, user: string) => Values
  /** Tries a login that was lent. Throws where the answer is not clear. */
  readonly probe: (
    site: Site,
    login: { readonly user: string; readonly password: string },
    signal: AbortSignal,
  ) => Promise<Probe>
}

/**
 * A standing login, lent. Whoever got it knows it, and nothing of ours takes that back (revocability `none`): so its lease stays an open
 * obligation, louder with time, until the target refuses what was lent, because the login was rotated or somebody replaced it there.
 */
export function lentWriter({ kind, protocol, aboutOf, probe }: Lending): HandedWriter {
  return {
    kind,
    protocol,
    mode: 'static',
    capability: { revocability: 'none', coexisting: 1, isReversible: false, permissions: [] },
    needsSite: true,
    worksWithoutLogin: true,
    plan: (_random, { terms }) => ({ principal: terms.account, revocability: 'none' }),
    async apply(site, _lease, making) {
      const { account } = site
      if (!account) throw new LeaseFailure('the account has no sealed login')
      if (!(await making.isWanted())) throw new NotWanted('the lease was ended while it was being made')
      return {
        details: { about: aboutOf(site, account.user) },
        secret: secretOf({ username: account.user, password: account.secret.reveal() }),
      }
    },
    end: async () => ({ appeared: [], unread: [] }),
    async verify(site, lease, signal) {
      const { username, password } = valuesOf(lease.secret)
      if (username === undefined || password === undefined) return { kind: 'dead', evidence: { lent: false } }
      return probe(site, { user: username, password }, signal)
    },
  }
}

/** What is said of a lent login that still opens its target. */
export const STILL_ACCEPTED: Probe = {
  kind: 'alive',
  why: 'it was shown to its holder and is still accepted: replace the login at the server',
}

/** What proves it dead: the refusal, by its code. */
export function refusedWith(login: string | number): Probe {
  return { kind: 'dead', evidence: { lent: true, shownToHolder: true, login } }
}
