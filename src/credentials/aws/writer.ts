import { z } from 'zod'
import { secondsAfter } from '../../kernel/clock.ts'
import { Instant } from '../../kernel/instant.ts'
import { Secret } from '../../kernel/secret.ts'
import { secretOf, valuesOf, type HandedWriter } from '../issued/handed.ts'
import { LeaseFailure, NotWanted, type Probe, type Site, type WrittenLease } from '../writer.ts'
import { AWS_DENIED, AWS_OVER, type AwsService } from '../../kernel/aws/query.ts'
import { callAws, errorCode } from './api.ts'
import { signInLink } from './console.ts'
import { denySession } from './deny.ts'
import { arnOf, assumeRole, LEAST_SECONDS, refusedAs, roleOf, sessionName, type SessionNeeds } from './session.ts'
import { AwsSettings } from './settings.ts'
import type { AwsKeys } from '../../kernel/sigv4.ts'

/** The protocol of accounts of AWS. */
export const AWS = 'aws'

/** Clocks of AWS and ours may differ by this much: only then has a session run out. */
const SKEW_SECONDS = 60

const Kept = z.object({ session: z.string(), expiresAt: Instant })

/**
 * A session of a role (`sts:AssumeRole`), named by its grant. Nothing ends one at STS: it runs out (`expires-only`), unless the settings let us deny it by an
 * inline policy of its role. Then it is ended at once, which is proven by a call that it could make before.
 */
export function awsWriter(needs: SessionNeeds): HandedWriter {
  return {
    kind: 'aws-session',
    protocol: AWS,
    mode: 'lease',
    capability: {
      revocability: 'immediate',
      coexisting: null,
      isReversible: true,
      permissions: [
        'sts:AssumeRole on the roles, which trust our key or token',
        'iam:ListRolePolicies, iam:PutRolePolicy, iam:DeleteRolePolicy on them, where sessions are to be ended',
      ],
    },
    needsSite: true,
    worksWithoutLogin: true,
    plan(_random, { leaseId, grantId, terms, settings }) {
      const { endsByPolicy } = AwsSettings.parse(settings)
      return {
        principal: `${roleOf(terms)}/${sessionName(grantId, leaseId)}`,
        revocability: endsByPolicy ? 'immediate' : 'expires-only',
      }
    },
    apply: async (site, lease, making, signal) => {
      const settings = AwsSettings.parse(site.settings)
      const name = nameIn(lease)
      const seconds = secondsFor(needs, settings, lease)
      if (!(await making.isWanted())) throw new NotWanted('the lease was ended while it was being made')
      const session = await assumeRole(needs, { site, lease, name, seconds }, signal)
      if (settings.endsByPolicy) await mustPassProbe(needs, settings, session.keys, roleOf(lease.terms), signal)
      const { id, secret, sessionToken } = session.keys
      return {
        details: {
          session: name,
          expiresAt: session.expiresAt.toISOString(),
          about: { region: settings.region, roleArn: arnOf(settings, roleOf(lease.terms)), sessionName: name },
        },
        secret: secretOf({
          accessKeyId: id,
          secretAccessKey: secret.reveal(),
          sessionToken: sessionToken.reveal(),
        }),
        validBefore: session.expiresAt,
      }
    },
    async end(site, lease, signal) {
      const { endsByPolicy } = AwsSettings.parse(site.settings)
      const kept = keptOf(lease)
      if (endsByPolicy && kept && !hasRunOut(needs, kept.expiresAt)) {
        await denySession(needs, { site, role: roleOf(lease.terms), ...kept }, signal)
      }
      return { appeared: [], unread: [] }
    },
    verify: (site, lease, signal) => verify(needs, site, lease, signal),
    signIn: (site, values, signal) => signInLink(needs, AwsSettings.parse(site.settings), values, signal),
  }
}

async function verify(needs: SessionNeeds, site: Site, lease: WrittenLease, signal: AbortSignal): Promise<Probe> {
  const settings = AwsSettings.parse(site.settings)
  const kept = keptOf(lease)
  // What was never recorded as issued was handed to nobody, and we do not have it either.
  if (!kept) return { kind: 'dead', evidence: { session: nameIn(lease), handedOut: false } }
  const { name, expiresAt } = kept
  if (hasRunOut(needs, expiresAt)) {
    return { kind: 'dead', evidence: { session: name, ranOutAt: expiresAt.toISOString() } }
  }
  if (!settings.endsByPolicy) {
    return {
      kind: 'alive',
      why: `nothing ends a session of AWS, and it runs out at ${expiresAt.toISOString()}`,
      until: secondsAfter(expiresAt, SKEW_SECONDS + 1),
    }
  }
  const answer = await probe(needs, settings, keysIn(lease), roleOf(lease.terms), signal)
  const code = errorCode(answer)
  if (answer.status !== 200 && (AWS_DENIED.has(code) || AWS_OVER.has(code))) {
    return { kind: 'dead', evidence: { session: name, call: settings.probe, refused: code } }
  }
  if (answer.status === 200)
    return { kind: 'alive', why: 'it is denied by a policy of its role, and AWS still takes it' }
  throw refusedAs(settings.probe, answer)
}

/** The session's own name, from the words it was announced in. */
function nameIn({ principal }: WrittenLease): string {
  return principal.slice(principal.lastIndexOf('/') + 1)
}

function keptOf({ details }: WrittenLease): { readonly name: string; readonly expiresAt: Date } | undefined {
  const kept = Kept.safeParse(details)
  return kept.success ? { name: kept.data.session, expiresAt: kept.data.expiresAt } : undefined
}

function hasRunOut({ clock }: SessionNeeds, expiresAt: Date): boolean {
  return clock.now() > secondsAfter(expiresAt, SKEW_SECONDS)
}

function keysIn({ secret }: WrittenLease): AwsKeys {
  const { accessKeyId, secretAccessKey, sessionToken } = valuesOf(secret)
  if (!accessKeyId || !secretAccessKey || !sessionToken) throw new LeaseFailure('the session is not kept any more')
  return { id: accessKeyId, secret: new Secret(secretAccessKey), sessionToken: new Secret(sessionToken) }
}

/** No longer than the grant; what nobody can end is not made to outlast it. */
function secondsFor({ clock }: SessionNeeds, settings: AwsSettings, { terms }: WrittenLease): number {
  const leftSeconds = Math.floor((terms.validUntil.getTime() - clock.now().getTime()) / 1000)
  if (leftSeconds < LEAST_SECONDS && !settings.endsByPolicy) {
    throw new LeaseFailure('a session lasts fifteen minutes at least, the grant does not, and nothing could end it')
  }
  return Math.max(LEAST_SECONDS, Math.min(settings.maxSeconds, leftSeconds))
}

const CALLS: Readonly<Record<AwsSettings['probe'], readonly [AwsService, string]>> = {
  'ec2:DescribeRegions': ['ec2', 'DescribeRegions'],
  'iam:GetRole': ['iam', 'GetRole'],
  'sns:ListTopics': ['sns', 'ListTopics'],
}

function probe(needs: SessionNeeds, settings: AwsSettings, keys: AwsKeys, role: string, signal: AbortSignal) {
  const [service, action] = CALLS[settings.probe]
  const parameters: Record<string, string> = settings.probe === 'iam:GetRole' ? { RoleName: role } : {}
  return callAws(needs, settings, { service, action, parameters, keys }, signal)
}

/** Otherwise its refusal would prove nothing once the session is ended. */
async function mustPassProbe(
  needs: SessionNeeds,
  settings: AwsSettings,
  keys: AwsKeys,
  role: string,
  signal: AbortSignal,
): Promise<void> {
  const answer = await probe(needs, settings, keys, role, signal)
  if (answer.status !== 200) {
    throw new LeaseFailure(`the role may not call ${settings.probe}, by which the end of a session is proven`)
  }
}
