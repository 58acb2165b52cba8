import { Instant } from '../../kernel/instant.ts'
import { Secret } from '../../kernel/secret.ts'
import { refusedBy, type Answer } from '../issued/ask.ts'
import { LeaseFailure, type LeaseTerms, type Site, type WrittenLease } from '../writer.ts'
import { AWS_DENIED } from '../../kernel/aws/query.ts'
import { callAws, element, errorCode, type AwsNeeds } from './api.ts'
import { AwsSettings } from './settings.ts'
import type { AwsKeys } from '../../kernel/sigv4.ts'

/** AWS STS: fifteen minutes at least. */
export const LEAST_SECONDS = 900
/** What IAM takes as the name of a role; a path would need an ARN of its own. */
const ROLE = /^[\w+=,.@-]{1,64}$/

/** Says who we are by a token of this installation, for an OIDC provider of AWS that trusts it. */
export type MintWebIdentity = (about: {
  readonly audience: string
  readonly subject: string
  readonly id: string
}) => Promise<Secret>

export type SessionNeeds = AwsNeeds & { readonly webIdentity: MintWebIdentity }

/** A session as STS gave it. */
export type AwsSession = {
  readonly keys: AwsKeys & { readonly sessionToken: Secret }
  readonly expiresAt: Date
}

/** The role that bounds the strongest granted action. */
export function roleOf({ roles }: LeaseTerms): string {
  const [role = ''] = roles
  if (!ROLE.test(role)) throw new LeaseFailure('the account, or what bounds the action, is no name of a role')
  return role
}

export function arnOf({ partition, accountId }: AwsSettings, role: string): string {
  return `arn:${partition}:iam::${accountId}:role/${role}`
}

/**
 * `RoleSessionName`, which stands in every line of CloudTrail: the grant, and the lease, so that one session can be told from the next of the same grant.
 * Both are made here, so there is nothing in it that somebody chose.
 */
export function sessionName(grantId: string, leaseId: string): string {
  return `${grantId}.${Buffer.from(leaseId.replaceAll('-', ''), 'hex').toString('base64url')}`
}

/** The keys that we work with there; none where a web identity is the proof. */
export function ownKeys({ provisioner }: Site): AwsKeys {
  if (provisioner.user === '') throw new LeaseFailure('the target has no access key of ours')
  return { id: provisioner.user, secret: provisioner.secret }
}

type Assuming = {
  readonly site: Site
  readonly lease: WrittenLease
  readonly name: string
  readonly seconds: number
}

/** `sts:AssumeRole`, or `sts:AssumeRoleWithWebIdentity`. */
export async function assumeRole(
  needs: SessionNeeds,
  { site, lease, name, seconds }: Assuming,
  signal: AbortSignal,
): Promise<AwsSession> {
  const settings = AwsSettings.parse(site.settings)
  const role = roleOf(lease.terms)
  const policy = sessionPolicy(settings, lease.terms.actions ?? [])
  const parameters = {
    RoleArn: arnOf(settings, role),
    RoleSessionName: name,
    DurationSeconds: String(seconds),
    ...(policy !== undefined && { Policy: policy }),
  }
  const answer =
    settings.proof === 'key'
      ? await callAws(
          needs,
          settings,
          { service: 'sts', action: 'AssumeRole', parameters, keys: ownKeys(site) },
          signal,
        )
      : await byWebIdentity(needs, { settings, parameters, subject: `${role}@${site.target}`, id: lease.id }, signal)
  if (answer.status !== 200) throw refusedAs('AssumeRole', answer)
  const [id, secret, token] = ['AccessKeyId', 'SecretAccessKey', 'SessionToken'].map((part) => element(answer, part))
  const expiresAt = Instant.safeDecode(element(answer, 'Expiration') ?? '').data
  if (!id || !secret || !token || !expiresAt) {
    throw new LeaseFailure('AWS answered without a session')
  }
  return { keys: { id, secret: new Secret(secret), sessionToken: new Secret(token) }, expiresAt }
}

type WebIdentity = {
  readonly settings: AwsSettings
  readonly parameters: Readonly<Record<string, string>>
  readonly subject: string
  readonly id: string
}

async function byWebIdentity(
  needs: SessionNeeds,
  { settings, parameters, subject, id }: WebIdentity,
  signal: AbortSignal,
): Promise<Answer> {
  const token = await needs.webIdentity({ audience: settings.audience, subject, id })
  const withToken = { ...parameters, WebIdentityToken: token.reveal() }
  return callAws(
    needs,
    settings,
    { service: 'sts', action: 'AssumeRoleWithWebIdentity', parameters: withToken, keys: undefined },
    signal,
  )
}

/** The policies of all granted actions as one; none where one of them has none, since that one is bounded by the role alone. */
function sessionPolicy({ sessionPolicies }: AwsSettings, actions: readonly string[]): string | undefined {
  const found = actions.map((action) => sessionPolicies[action])
  if (found.length === 0 || found.includes(undefined)) return undefined
  const statements = found.flatMap((policy) => policy?.['Statement'] ?? [])
  return JSON.stringify({ Version: '2012-10-17', Statement: statements.flat() })
}

/** A refusal with AWS's own code, which is a word and tells nothing of anybody. */
export function refusedAs(what: string, answer: Answer): LeaseFailure {
  const code = errorCode(answer)
  if (AWS_DENIED.has(code)) return new LeaseFailure(`AWS does not let us (${what}: ${code})`)
  return /^\w{1,64}$/.test(code) && answer.status === 400
    ? new LeaseFailure(`AWS refused it (${what}: ${code})`)
    : refusedBy(what, answer)
}
