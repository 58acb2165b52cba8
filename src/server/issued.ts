import { readFile } from 'node:fs/promises'
import { secondsAfter, type Clock } from '../kernel/clock.ts'
import type { Config } from '../kernel/config.ts'
import { openEgress } from '../kernel/egress.ts'
import { Secret } from '../kernel/secret.ts'
import {
  AWS,
  awsActions,
  awsWriter,
  HTTPS,
  httpsActions,
  httpsWriter,
  KEYCLOAK,
  keycloakActions,
  keycloakWriter,
  KUBERNETES_TOKEN,
  kubernetesTokenActions,
  kubernetesTokenWriter,
  LDAP,
  ldapActions,
  ldapWriter,
  MYSQL,
  mysqlActions,
  mysqlWriter,
  OPENBAO,
  openbaoActions,
  openbaoWriter,
  type HandedWriter,
  type MintWebIdentity,
} from '../credentials/credentials.ts'
import {
  AwsSettings,
  HttpsSettings,
  KeycloakSettings,
  KubernetesTokenSettings,
  LdapSettings,
  MysqlSettings,
  OpenbaoSettings,
} from '../credentials/contract.ts'

/** Targets whose credentials are handed to the holder of a grant: the target checks them itself, and nothing of ours stands in between. */
export const HANDED = [
  { protocol: KUBERNETES_TOKEN, actions: kubernetesTokenActions, settings: KubernetesTokenSettings },
  { protocol: AWS, actions: awsActions, settings: AwsSettings },
  { protocol: OPENBAO, actions: openbaoActions, settings: OpenbaoSettings },
  { protocol: MYSQL, actions: mysqlActions, settings: MysqlSettings },
  { protocol: HTTPS, actions: httpsActions, settings: HttpsSettings },
  { protocol: LDAP, actions: ldapActions, settings: LdapSettings },
  { protocol: KEYCLOAK, actions: keycloakActions, settings: KeycloakSettings },
] as const

type HandedParts = {
  readonly config: Config
  readonly clock: Clock
  /** What signs the tokens of this installation, once it is open. */
  readonly signs: () => {
    readonly issuer: () => string
    readonly mint: (claims: Readonly<Record<string, unknown>>) => string | Promise<string>
  }
}

/** AWS asks for it once. */
const WEB_IDENTITY_SECONDS = 300

/** What makes and ends them. */
export async function openHanded({ config, clock, signs }: HandedParts): Promise<HandedWriter[]> {
  const { caFile, allow } = config.egress
  const egress = openEgress({ allow, ca: caFile === undefined ? undefined : await readFile(caFile, 'utf8') })
  const webIdentity: MintWebIdentity = async ({ audience, subject, id }) => {
    const { issuer, mint } = signs()
    const now = clock.now()
    const seconds = (at: Date) => Math.floor(at.getTime() / 1000)
    const until = secondsAfter(now, WEB_IDENTITY_SECONDS)
    const claims = { iss: issuer(), aud: audience, sub: subject, jti: id, iat: seconds(now), exp: seconds(until) }
    return new Secret(await mint(claims))
  }
  return [
    kubernetesTokenWriter({ egress, clock }),
    awsWriter({ egress, clock, webIdentity }),
    openbaoWriter({ egress, clock }),
    mysqlWriter,
    httpsWriter({ egress }),
    ldapWriter,
    keycloakWriter({ egress }),
  ]
}
