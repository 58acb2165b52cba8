import type { Clock } from '../../kernel/clock.ts'
import type { Egress } from '../../kernel/egress.ts'
import { askTarget, type Answer } from '../issued/ask.ts'
import type { AwsSettings } from './settings.ts'
import { encoded, signedHeaders, type AwsKeys } from '../../kernel/sigv4.ts'

export type AwsNeeds = { readonly egress: Egress; readonly clock: Pick<Clock, 'now'> }

/** Versions of the query APIs, which name them in each call. */
const VERSIONS = { sts: '2011-06-15', iam: '2010-05-08', ec2: '2016-11-15', sns: '2010-03-31' } as const
export type AwsService = keyof typeof VERSIONS

/** IAM is one for a whole partition, and signed for that partition's first region. */
const IAM_REGION = { aws: 'us-east-1', 'aws-us-gov': 'us-gov-west-1', 'aws-cn': 'cn-north-1' } as const
const IAM_HOST = {
  aws: 'iam.amazonaws.com',
  'aws-us-gov': 'iam.us-gov.amazonaws.com',
  'aws-cn': 'iam.cn-north-1.amazonaws.com.cn',
} as const

type Calling = {
  readonly service: AwsService
  readonly action: string
  readonly parameters: Readonly<Record<string, string>>
  /** Without keys the call is not signed. */
  readonly keys: AwsKeys | undefined
}

/** One call of a query API of AWS. Whatever it says is the caller's to judge. */
export function callAws(
  { egress, clock }: AwsNeeds,
  settings: AwsSettings,
  { service, action, parameters, keys }: Calling,
  signal: AbortSignal,
): Promise<Answer> {
  const url = new URL(settings.endpoint ?? `https://${hostOf(settings, service)}/`)
  const fields = Object.entries({ Action: action, Version: VERSIONS[service], ...parameters })
  const body = fields.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&')
  const region = service === 'iam' ? IAM_REGION[settings.partition] : settings.region
  const plain = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
  const headers = keys
    ? signedHeaders(keys, { method: 'POST', url, headers: plain, body, region, service, at: clock.now() })
    : plain
  return askTarget(egress, { method: 'POST', url: url.href, headers, body, ca: settings.ca }, signal)
}

function hostOf({ partition, region }: AwsSettings, service: AwsService): string {
  if (service === 'iam') return IAM_HOST[partition]
  return `${service}.${region}.amazonaws.com${partition === 'aws-cn' ? '.cn' : ''}`
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** The text of the first element of that name. What AWS answers is flat enough that no more of XML is needed. */
export function element({ text }: Answer, name: string): string | undefined {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1]
  return found?.replaceAll(/&(amp|lt|gt|quot|apos);/g, (_whole, entity: string) => ENTITIES[entity] ?? '')
}

/** All of them. */
export function elements({ text }: Answer, name: string): string[] {
  return [...text.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, found = '']) => found)
}

/** AWS's code of an error, such as `AccessDenied`. */
export function errorCode(answer: Answer): string {
  return element(answer, 'Code') ?? String(answer.status)
}

/** Codes by which AWS says that a session may not, or is over. */
export const DENIED: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'UnauthorizedOperation',
  'AuthorizationError',
])
export const OVER: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'RequestExpired',
  'InvalidClientTokenId',
  'AuthFailure',
])
