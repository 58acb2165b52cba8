import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HandedCredential } from '../../credentials/contract.ts'
import { EXIT, Failure } from '../failure.ts'
import { valueOf } from '../hooks/grant.ts'
import type { Io } from '../io.ts'

/** Of the caller's environment, what would lead a command to other accounts than that of the grant, and our own proof. */
const WITHHELD =
  /^(REEVE_(TOKEN|TOKEN_FILE|CLIENT_CERT|CLIENT_KEY)|AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|PROFILE|DEFAULT_PROFILE|ROLE_ARN|WEB_IDENTITY_TOKEN_FILE|CONTAINER_CREDENTIALS_.*)|KUBECONFIG|(VAULT|BAO)_TOKEN)$/

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
    case 'openbao-secret':
    case 'https-login':
      return Object.fromEntries(
        Object.entries(handed.values).map(([name, value]) => [`REEVE_SECRET_${upper(name)}`, value]),
      )
    default:
      throw new Failure(EXIT.usage, `This release does not know how a command takes a ${handed.kind}.`)
  }
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
