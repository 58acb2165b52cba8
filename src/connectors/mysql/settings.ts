import { z } from 'zod'
import { Login } from '../../catalog/contract.ts'
import { MysqlSettings } from '../../credentials/contract.ts'

/** What `source.settings` holds for `mysql`: where the server listens. What a target needs beside it is left out. */
export const MysqlSourceSettings = z
  .strictObject({
    host: MysqlSettings.shape.host,
    port: MysqlSettings.shape.port,
    plaintext: MysqlSettings.shape.plaintext,
    ca: MysqlSettings.shape.ca,
    serverName: MysqlSettings.shape.serverName,
  })
  .refine((address) => MysqlSettings.safeParse({ ...address, from: 'localhost' }).success, {
    path: ['host'],
    message: 'without TLS only this machine itself, by `plaintext`; with it an address needs `serverName`',
  })
  .meta({ id: 'MysqlSourceSettings', classification: 'public' })

export { Login as MysqlCredential }
