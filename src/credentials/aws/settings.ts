import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { ApiAddress, isProtected, PLAIN, Reached } from '../issued/address.ts'

/** Calls that change nothing and that most roles may make: by one of them an end is proven. */
const PROBES = ['ec2:DescribeRegions', 'iam:GetRole', 'sns:ListTopics'] as const

const POLICY_MAX = 2048
const Policy = shown(z.record(z.string(), z.json())).refine((policy) => JSON.stringify(policy).length <= POLICY_MAX, {
  message: `a session policy has at most ${POLICY_MAX} characters`,
})

/** What `target.settings` holds for `aws`: which account, how we prove ourselves there, and how sessions of its roles are ended. */
export const AwsSettings = z
  .strictObject({
    accountId: shown(z.string().regex(/^\d{12}$/)),
    region: shown(z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/)).default('us-east-1'),
    partition: shown(z.enum(['aws', 'aws-us-gov', 'aws-cn'])).default('aws'),
    endpoint: ApiAddress.optional().describe('instead of those of AWS, for all its services'),
    ...Reached,
    proof: shown(z.enum(['key', 'web-identity']))
      .default('key')
      .describe('the sealed access key, or a token of this installation that an OIDC provider there trusts'),
    audience: shown(z.string().min(1).max(255)).default('sts.amazonaws.com').describe('of that token'),
    maxSeconds: shown(z.int().min(900).max(43_200)).default(3600).describe('the longest life of one session'),
    sessionPolicies: shown(z.record(z.string(), Policy))
      .default({})
      .describe('by action: what a session may do at most; where an action has none, the role alone bounds it'),
    endsByPolicy: shown(z.boolean())
      .default(false)
      .describe('ends sessions by an inline policy of the role; without it they run out by themselves'),
    probe: shown(z.enum(PROBES)).default('ec2:DescribeRegions').describe('the call by which an end is proven'),
  })
  .refine(({ endpoint, plaintext }) => endpoint === undefined || isProtected(endpoint, plaintext), {
    path: ['endpoint'],
    message: PLAIN,
  })
  .meta({ id: 'AwsSettings', classification: 'public' })
export type AwsSettings = z.output<typeof AwsSettings>
