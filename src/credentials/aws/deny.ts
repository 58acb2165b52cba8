import type { Site } from '../writer.ts'
import { callAws, elements, type AwsNeeds } from './api.ts'
import { ownKeys, refusedAs } from './session.ts'
import { AwsSettings } from './settings.ts'

/** Inline policies of a role that are ours: `reeve-ended-<when the session runs out, in seconds>-<lease>`. */
const OURS = /^reeve-ended-(\d{1,12})-[\w-]+$/
/** Sessions are over this long before what denies them is taken away: our clock and theirs may differ. */
const SKEW_SECONDS = 300

type Denying = { readonly site: Site; readonly role: string; readonly name: string; readonly expiresAt: Date }

/**
 * Denies everything to one session, by an inline policy of its role that names the session (`aws:userid` is `<role id>:<session name>`). AWS's own
 * "revoke active sessions" denies by `aws:TokenIssueTime` and so ends those of everybody; this one ends nobody else's. What denied sessions that
 * are long over is taken away, since a role has room for about thirty of these.
 */
export async function denySession(needs: AwsNeeds, denying: Denying, signal: AbortSignal): Promise<void> {
  const { site, role, name, expiresAt } = denying
  const settings = AwsSettings.parse(site.settings)
  const keys = ownKeys(site)
  const call = (action: string, parameters: Readonly<Record<string, string>>) =>
    callAws(needs, settings, { service: 'iam', action, parameters: { RoleName: role, ...parameters }, keys }, signal)
  const listed = await call('ListRolePolicies', { MaxItems: '100' })
  if (listed.status !== 200) throw refusedAs('ListRolePolicies', listed)
  const nowSeconds = needs.clock.now().getTime() / 1000
  for (const policy of elements(listed, 'member')) {
    const until = Number(OURS.exec(policy)?.[1] ?? Number.POSITIVE_INFINITY)
    if (until + SKEW_SECONDS > nowSeconds) continue
    const gone = await call('DeleteRolePolicy', { PolicyName: policy })
    if (gone.status !== 200 && gone.status !== 404) throw refusedAs('DeleteRolePolicy', gone)
  }
  const put = await call('PutRolePolicy', {
    PolicyName: `reeve-ended-${Math.ceil(expiresAt.getTime() / 1000)}-${name.split('.')[1] ?? ''}`,
    PolicyDocument: JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Deny', Action: '*', Resource: '*', Condition: { StringLike: { 'aws:userid': `*:${name}` } } },
      ],
    }),
  })
  if (put.status !== 200) throw refusedAs('PutRolePolicy', put)
}
