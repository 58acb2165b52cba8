import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { build, keptFolder } from './folder.ts'

/** What is fetched. */
export const KEYCLOAK_VERSION = '26.7.3'
const CENTRAL = 'https://repo1.maven.org/maven2/org/keycloak/keycloak-quarkus-dist'

/** The folder of a Keycloak from Maven Central, to be started as `bin/kc.sh start-dev` with Java 17 or later. */
export async function keycloakHome(): Promise<string> {
  const folder = await keptFolder(`keycloak-${KEYCLOAK_VERSION}`, async (draft) => {
    const archive = join(draft, 'keycloak.tar.gz')
    const answer = await fetch(`${CENTRAL}/${KEYCLOAK_VERSION}/keycloak-quarkus-dist-${KEYCLOAK_VERSION}.tar.gz`)
    if (!answer.ok || answer.body === null) throw new Error(`Keycloak cannot be fetched: HTTP ${answer.status}`)
    await pipeline(Readable.fromWeb(answer.body), createWriteStream(archive))
    await build('tar', ['-xzf', archive, '--strip-components=1'], draft)
  })
  return folder
}
