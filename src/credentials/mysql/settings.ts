import { isIP } from 'node:net'
import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { isProtected, PLAIN, Reached } from '../issued/address.ts'

/** As the server writes hosts of users: a name, an address or a network, with `%` and `_` for anything. No quotes and nothing to end one. */
const HOST_PATTERN = /^[A-Za-z0-9%_.:-]{1,60}(\/[0-9.]{1,15})?$/

/** Where a server listens, and how it proves itself. */
const MysqlServer = {
  host: shown(z.string().regex(/^[A-Za-z0-9_.:-]{1,253}$/)).describe('name or address'),
  port: shown(z.int().min(1).max(65_535)).default(3306),
  ...Reached,
  serverName: shown(z.string().regex(/^[A-Za-z0-9_.-]{1,253}$/))
    .optional()
    .describe('the name in its certificate, if not host; an address needs one'),
}

type Address = { readonly host: string; readonly plaintext: boolean; readonly serverName?: string | undefined }

/** Without TLS only this machine itself; with it, a name that the certificate has to have. */
function isSafe({ host, plaintext }: Address): boolean {
  const written = isIP(host) === 6 ? `[${host}]` : host
  return isProtected(`${plaintext ? 'http' : 'https'}://${written}`, plaintext)
}
function hasName({ host, plaintext, serverName }: Address): boolean {
  return plaintext || isIP(serverName ?? host) === 0
}
const NO_NAME = 'a certificate is checked by a name: say which one'

/** What `target.settings` holds for `mysql`, which MariaDB is too. */
export const MysqlSettings = z
  .strictObject({
    ...MysqlServer,
    from: shown(z.string().regex(HOST_PATTERN)).describe(
      'where users of leases may log in from, as the server writes it: 10.1.2.%, app.example; % is everywhere',
    ),
  })
  .refine(isSafe, { path: ['host'], message: PLAIN })
  .refine(hasName, { path: ['serverName'], message: NO_NAME })
  .meta({ id: 'MysqlSettings', classification: 'public' })
export type MysqlSettings = z.output<typeof MysqlSettings>
