import type { Egress } from '../../kernel/egress.ts'
import { askTarget, refusedBy, type Answer } from '../issued/ask.ts'
import { secretOf, valuesOf, type HandedWriter } from '../issued/handed.ts'
import { LeaseFailure, NotWanted, type Site } from '../writer.ts'
import { HttpsSettings } from './settings.ts'

/** The protocol of servers that take a user name and a password in each request. */
export const HTTPS = 'https'

/**
 * A standing login, lent. Whoever got it knows it, and nothing of ours takes that back (revocability `none`): so its lease stays an open
 * obligation, louder with time, until the server refuses what was lent, because somebody replaced the login there.
 */
export function httpsWriter({ egress }: { readonly egress: Egress }): HandedWriter {
  return {
    kind: 'https-login',
    protocol: HTTPS,
    mode: 'static',
    capability: { revocability: 'none', coexisting: 1, isReversible: false, permissions: [] },
    needsSite: true,
    worksWithoutLogin: true,
    plan: (_random, { terms }) => ({ principal: terms.account, revocability: 'none' }),
    async apply(site, _lease, making) {
      const { account } = site
      if (!account) throw new LeaseFailure('the account has no sealed login')
      if (!(await making.isWanted())) throw new NotWanted('the lease was ended while it was being made')
      const { server } = HttpsSettings.parse(site.settings)
      return {
        details: { about: { server } },
        secret: secretOf({ username: account.user, password: account.secret.reveal() }),
      }
    },
    end: async () => ({ appeared: [], unread: [] }),
    async verify(site, lease, signal) {
      const { username, password } = valuesOf(lease.secret)
      if (username === undefined || password === undefined) return { kind: 'dead', evidence: { lent: false } }
      const without = await ask(egress, site, undefined, signal)
      // Who lets everybody in refuses nobody.
      if (without.status !== 401) throw new LeaseFailure(`the probe path asks for no login (${without.status})`)
      const login = `${username}:${password}`
      const answer = await ask(egress, site, Buffer.from(login, 'utf8').toString('base64'), signal)
      if (answer.status === 401 || answer.status === 403) {
        return { kind: 'dead', evidence: { lent: true, shownToHolder: true, login: answer.status } }
      }
      if (answer.status < 400) {
        return {
          kind: 'alive',
          why: 'it was shown to its holder and is still accepted: replace the login at the server',
        }
      }
      throw refusedBy('trying the login', answer)
    },
  }
}

function ask(egress: Egress, site: Site, login: string | undefined, signal: AbortSignal): Promise<Answer> {
  const { server, probePath, ca } = HttpsSettings.parse(site.settings)
  const headers = login === undefined ? {} : { authorization: `Basic ${login}` }
  return askTarget(egress, { method: 'GET', url: `${new URL(server).origin}${probePath}`, headers, ca }, signal)
}
