import type { Egress } from '../../kernel/egress.ts'
import { askTarget, refusedBy, type Answer } from '../issued/ask.ts'
import type { HandedWriter } from '../issued/handed.ts'
import { lentWriter, refusedWith, STILL_ACCEPTED } from '../issued/lent.ts'
import { LeaseFailure, type Site } from '../writer.ts'
import { HttpsSettings } from './settings.ts'

/** The protocol of servers that take a user name and a password in each request. */
export const HTTPS = 'https'

/** Lends the login of a server that is asked for it in each request. */
export function httpsWriter({ egress }: { readonly egress: Egress }): HandedWriter {
  return lentWriter({
    kind: 'https-login',
    protocol: HTTPS,
    aboutOf: (site) => ({ server: HttpsSettings.parse(site.settings).server }),
    async probe(site, { user, password }, signal) {
      const without = await ask(egress, site, undefined, signal)
      // Who lets everybody in refuses nobody.
      if (without.status !== 401) throw new LeaseFailure(`the probe path asks for no login (${without.status})`)
      const login = `${user}:${password}`
      const answer = await ask(egress, site, Buffer.from(login, 'utf8').toString('base64'), signal)
      if (answer.status === 401 || answer.status === 403) return refusedWith(answer.status)
      if (answer.status < 400) return STILL_ACCEPTED
      throw refusedBy('trying the login', answer)
    },
  })
}

function ask(egress: Egress, site: Site, login: string | undefined, signal: AbortSignal): Promise<Answer> {
  const { server, probePath, ca } = HttpsSettings.parse(site.settings)
  const headers = login === undefined ? {} : { authorization: `Basic ${login}` }
  return askTarget(egress, { method: 'GET', url: `${new URL(server).origin}${probePath}`, headers, ca }, signal)
}
