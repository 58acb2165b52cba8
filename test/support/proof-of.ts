import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '../../src/cli/client.ts'
import type { Place } from './program.ts'

/** Where a command of `client`'s runs: its proof is named by variables, as a pipeline has it. */
export function placeOf(folder: string, name: string, { connection }: Client): Place {
  const { address, authority, token, client } = connection
  const file = (ending: string, text: string) => {
    const path = join(folder, `${name}.${ending}`)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    XDG_RUNTIME_DIR: folder,
    REEVE_CONTEXTS: join(folder, `contexts-of-${name}`),
    REEVE_ADDR: address.origin,
    REEVE_CACERT: file('ca.pem', authority ?? ''),
    REEVE_TOKEN_FILE: file('token', token?.reveal() ?? ''),
    ...(client && {
      REEVE_CLIENT_CERT: file('client.crt', client.certificate),
      REEVE_CLIENT_KEY: file('client.key', client.key.reveal()),
    }),
  }
  return { folder, env }
}
