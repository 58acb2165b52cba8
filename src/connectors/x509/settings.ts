import { isIP } from 'node:net'
import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { parseExceptions } from '../../kernel/egress-address.ts'

const ENDPOINTS_MAX = 500

const Host = z
  .string()
  .min(1)
  .max(253)
  .transform((host) => host.toLowerCase().replace(/\.$/, ''))
  .refine((host) => isIP(host) !== 0 || /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/.test(host), 'name a host or its address')

const Endpoint = z.strictObject({
  host: shown(Host),
  port: shown(z.int().min(1).max(65_535)).default(443),
  serverName: shown(Host).optional().describe('the name to ask for (SNI), when it is not the host'),
})
export type Endpoint = z.output<typeof Endpoint>

const Allowed = z
  .string()
  .max(300)
  .refine((entry) => !entry.startsWith('http:') && isException(entry), 'write a name, address or network, with :port')

/** What `source.settings` holds for `x509`: a folder of this machine, endpoints, or both. */
export const X509SourceSettings = z
  .strictObject({
    folder: shown(z.string().max(1000).regex(/^\//, 'name it from the root on')).optional(),
    endpoints: shown(z.array(Endpoint).max(ENDPOINTS_MAX)).default([]),
    allow: shown(z.array(Allowed).max(100))
      .default([])
      .describe('private names, addresses or networks that endpoints may be at, as egress.allow writes them'),
    authorities: shown(z.string().max(1_000_000))
      .optional()
      .describe('PEM of authorities by which chains are judged, beside the public ones'),
  })
  .refine(({ folder, endpoints }) => folder !== undefined || endpoints.length > 0, 'name a folder or endpoints')
  .refine(
    ({ endpoints }) => new Set(endpoints.map(endpointName)).size === endpoints.length,
    'an endpoint is named twice',
  )
  .meta({ id: 'X509SourceSettings', classification: 'public' })
export type X509SourceSettings = z.output<typeof X509SourceSettings>

/** `host:port`, with the name that is asked for when that is another. */
export function endpointName({ host, port, serverName }: Endpoint): string {
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return serverName === undefined || serverName === host ? address : `${address}/${serverName}`
}

function isException(entry: string): boolean {
  try {
    return parseExceptions([entry]).length === 1
  } catch {
    return false
  }
}
