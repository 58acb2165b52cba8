/** Calls of the query APIs of AWS: where they go, and what is sent. Who sends them, and how far it may reach, is the caller's to say. */
import { encoded, signedHeaders, type AwsKeys } from '../sigv4.ts'

/** Versions of the APIs, which name them in each call. */
const VERSIONS = { sts: '2011-06-15', iam: '2010-05-08', ec2: '2016-11-15', sns: '2010-03-31' } as const
export type AwsService = keyof typeof VERSIONS

export const AWS_PARTITIONS = ['aws', 'aws-us-gov', 'aws-cn'] as const
type Place = { readonly partition: (typeof AWS_PARTITIONS)[number]; readonly region: string }

/** IAM is one for a whole partition, and signed for that partition's first region. */
const IAM_REGION = { aws: 'us-east-1', 'aws-us-gov': 'us-gov-west-1', 'aws-cn': 'cn-north-1' } as const
const IAM_HOST = {
  aws: 'iam.amazonaws.com',
  'aws-us-gov': 'iam.us-gov.amazonaws.com',
  'aws-cn': 'iam.cn-north-1.amazonaws.com.cn',
} as const

export function awsHost(service: AwsService, { partition, region }: Place): string {
  if (service === 'iam') return IAM_HOST[partition]
  return `${service}.${region}.amazonaws.com${partition === 'aws-cn' ? '.cn' : ''}`
}

export type AwsCall = {
  readonly service: AwsService
  readonly action: string
  readonly parameters: Readonly<Record<string, string>>
  /** Without keys the call is not signed. */
  readonly keys: AwsKeys | undefined
}

/** What is posted to `url`. */
export function awsRequest(
  { service, action, parameters, keys }: AwsCall,
  { partition, region, url, at }: Place & { readonly url: URL; readonly at: Date },
): { readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  const fields = Object.entries({ Action: action, Version: VERSIONS[service], ...parameters })
  const body = fields.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&')
  const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
  if (!keys) return { headers, body }
  const signedFor = service === 'iam' ? IAM_REGION[partition] : region
  return { headers: signedHeaders(keys, { method: 'POST', url, headers, body, region: signedFor, service, at }), body }
}

/** Codes by which AWS says that a session may not. */
export const AWS_DENIED: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'UnauthorizedOperation',
  'AuthorizationError',
])
/** That keys are over, or were never any. */
export const AWS_OVER: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'RequestExpired',
  'InvalidClientTokenId',
  'AuthFailure',
])
