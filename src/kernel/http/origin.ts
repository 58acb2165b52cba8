import type { IncomingHttpHeaders } from 'node:http'
import { foreignOrigin, unknownHost } from './problems.ts'

/**
 * Refuses what a browser was tricked into (core 30). A page of another origin may resolve its own name to our address (DNS rebinding), so the
 * host must be one of ours; and a page may send requests across, so an `Origin` must be the very host that is asked. `isEntered`: a person may
 * come here by a link on another site, which is a navigation of the whole window and never a request of a page.
 */
export function checkOrigin(headers: IncomingHttpHeaders, names: ReadonlySet<string>, isEntered = false): void {
  const host = headers.host ?? ''
  const name = hostName(host)
  if (name === undefined || !names.has(name)) {
    throw unknownHost('Use one of the names this node is configured for (tls.names).', {})
  }
  const { origin } = headers
  if (
    origin !== undefined &&
    URL.parse(origin)?.host.toLowerCase() !== URL.parse(`https://${host}`)?.host.toLowerCase()
  ) {
    throw foreignOrigin('Call the API from its own origin or from a program.', {})
  }
  if (isEntered && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document') return
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw foreignOrigin('Call the API from its own origin or from a program.', {})
  }
}

/** The name in a `Host` header, without port and brackets; `undefined` when it is not one. RFC 9110 §7.2 */
function hostName(host: string): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9._-]+))(?::\d{1,5})?$/.exec(host)
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '')
}
