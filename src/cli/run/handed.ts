import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HandedCredential } from '../../credentials/contract.ts'
import { EXIT, Failure } from '../failure.ts'
import { valueOf } from '../hooks/grant.ts'
import type { Io } from '../io.ts'

/** Of the caller's environment, what would lead a command to other accounts than that of the grant, and our own proof. */
const WITHHELD =
  /^(REEVE_(TOKEN|TOKEN_FILE|CLIENT_CERT|CLIENT_KEY)|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|PROFILE|DEFAULT_PROFILE|ROLE_ARN|WEB_IDENTITY_TOKEN_FILE|CONTAINER_CREDENTIALS_.*)|KUBECONFIG|MYSQL_(HOME|PWD|HOST|TCP_PORT|UNIX_PORT)|MARIADB_HOME|(VAULT|BAO)_TOKEN)$/

/** The environment of a command that uses a target directly: the caller's, with the credential as the target's own tools read it. */
export async function handedEnvironment(
  { env }: Io,
  handed: HandedCredential,
  folder: string,
): Promise<Record<string, string>> {
  const kept = Object.entries(env).flatMap(([name, value]) =>
    value === undefined || WITHHELD.test(name) ? [] : [[name, value] as const],
  )
  return { ...Object.fromEntries(kept), ...(await variablesOf(handed, folder)) }
}

async function variablesOf(handed: HandedCredential, folder: string): Promise<Record<string, string>> {
  switch (handed.kind) {
    case 'aws-session':
      return {
        AWS_ACCESS_KEY_ID: valueOf(handed, 'accessKeyId'),
        AWS_SECRET_ACCESS_KEY: valueOf(handed, 'secretAccessKey'),
        AWS_SESSION_TOKEN: valueOf(handed, 'sessionToken'),
        AWS_REGION: handed.about['region'] ?? '',
        AWS_DEFAULT_REGION: handed.about['region'] ?? '',
      }
    case 'kubernetes-token':
      return { KUBECONFIG: await kubeconfigIn(folder, handed) }
    case 'mysql-user':
      return { ...secretsOf(handed), MYSQL_HOME: await optionFileIn(folder, handed) }
    case 'openbao-secret':
    case 'https-login':
    case 'ldap-login':
    case 'keycloak-client':
      return secretsOf(handed)
    default:
      throw new Failure(EXIT.usage, `This release does not know how a command takes a ${handed.kind}.`)
  }
}

function secretsOf({ values }: HandedCredential): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`REEVE_SECRET_${upper(name)}`, value]))
}

/** The option file that clients of MySQL and MariaDB read by `MYSQL_HOME`: what `~/.my.cnf` says comes behind it and wins. */
async function optionFileIn(folder: string, handed: HandedCredential): Promise<string> {
  const { host, port, tls, certificateAuthority } = handed.about
  const authority = join(folder, 'authority.pem')
  if (certificateAuthority !== undefined) await writeFile(authority, certificateAuthority, { mode: 0o600, flag: 'wx' })
  const lines = [
    '[client]',
    `user=${valueOf(handed, 'username')}`,
    `password=${valueOf(handed, 'password')}`,
    `host=${host}`,
    `port=${port}`,
    'protocol=tcp',
    ...(certificateAuthority === undefined ? [] : [`ssl-ca=${authority}`]),
    ...(tls === 'none' ? [] : ['loose-ssl-verify-server-cert', 'loose-ssl-mode=VERIFY_IDENTITY']),
  ]
  await writeFile(join(folder, 'my.cnf'), `${lines.join('\n')}\n`, { mode: 0o600, flag: 'wx' })
  return folder
}

/** `accessKeyId` is `ACCESS_KEY_ID`. */
function upper(name: string): string {
  return name
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll(/[^A-Za-z0-9]+/g, '_')
    .toUpperCase()
}

/** JSON is YAML. */
async function kubeconfigIn(folder: string, handed: HandedCredential): Promise<string> {
  const { server, namespace, certificateAuthority } = handed.about
  const path = join(folder, 'kubeconfig')
  const cluster = {
    server,
    ...(certificateAuthority !== undefined && {
      'certificate-authority-data': Buffer.from(certificateAuthority, 'utf8').toString('base64'),
    }),
  }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: handed.target, cluster }],
    users: [{ name: 'grant', user: { token: valueOf(handed, 'token') } }],
    contexts: [{ name: handed.target, context: { cluster: handed.target, user: 'grant', namespace } }],
    'current-context': handed.target,
  }
  await writeFile(path, JSON.stringify(config), { mode: 0o600, flag: 'wx' })
  return path
}
