/** IAM as a reader asks it: one call, or all pages of a list. */
import { AWS_DENIED, AWS_OVER, awsRequest } from '../../kernel/aws/query.ts'
import { NoXml, readXml, xmlAt, xmlEvery, xmlMembers, xmlText, type XmlElement } from '../../kernel/aws/xml.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { AwsKeys } from '../../kernel/sigv4.ts'
import { Denied, Faltering, SlowDown, Unreadable, type Guard, type Missing, type SourceHttp } from '../connector.ts'
import type { AwsSourceSettings } from './settings.ts'

export type Iam = {
  readonly http: SourceHttp
  readonly clock: Pick<Clock, 'now'>
  readonly keys: AwsKeys
  readonly settings: AwsSourceSettings
  readonly url: URL
}

export type Parameters = Readonly<Record<string, string>>

const ANSWER_BYTES = 32 * 1024 * 1024
/** Quotas of one account end far before (IAM and AWS STS quotas): a list that goes on is a circle. */
const PAGES_MAX = 10_000
const PAGE_ITEMS = '1000'

/** "Common errors" and those of IAM by which it asks for fewer calls. */
const SLOWER: ReadonlySet<string> = new Set([
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'RequestThrottled',
  'RequestLimitExceeded',
  'TooManyRequestsException',
  'PriorRequestNotComplete',
])
const UNSIGNED: ReadonlySet<string> = new Set(['SignatureDoesNotMatch', 'IncompleteSignature'])

/** The key itself is not taken any more: nothing else will be seen with it. */
export class KeyOver extends Denied {}

/** That IAM says of what was asked for that it is not there. */
export class NoSuchThing extends Error {
  override readonly name = 'NoSuchThing'
}

/** The result of one call. Throws `Denied` with its permission, `SlowDown`, `NoSuchThing`. */
export async function call(iam: Iam, action: string, parameters: Parameters, signal: AbortSignal): Promise<XmlElement> {
  const { http, settings, keys, url } = iam
  const { headers, body } = awsRequest(
    { service: 'iam', action, parameters, keys },
    { partition: settings.partition, region: '', url, at: iam.clock.now() },
  )
  const answer = await http(
    {
      method: 'POST',
      path: '/',
      headers: { ...headers, accept: 'text/xml' },
      body,
      maxBytes: ANSWER_BYTES,
      ...(settings.authorities !== undefined && { ca: settings.authorities }),
    },
    signal,
  )
  const root = xmlOf(answer.body)
  if (answer.status === 200) {
    const result = root?.name === `${action}Response` ? xmlAt(root, `${action}Result`) : undefined
    if (!result || isText(result)) throw new Unreadable(OTHERWISE)
    return result
  }
  throw refusal(action, answer.status, root && xmlText(xmlEvery(root, 'Error')[0], 'Code'))
}

function xmlOf(body: Buffer): XmlElement | undefined {
  try {
    return readXml(body.toString('utf8'))
  } catch (error) {
    if (error instanceof NoXml) return undefined
    throw error
  }
}

/** By AWS's own code; what it says beside it is nobody's to read. */
function refusal(action: string, status: number, code: string | undefined): Error {
  if (code !== undefined && SLOWER.has(code)) return new SlowDown()
  if (code !== undefined && AWS_OVER.has(code)) {
    const why = 'AWS does not take the key: it is over, inactive or none, or the clocks differ'
    return new KeyOver({ what: 'the rest', why, permission: 'an active access key' })
  }
  if (code !== undefined && UNSIGNED.has(code))
    return new Unreadable('AWS does not take the signature: the secret is another one')
  if (code !== undefined && AWS_DENIED.has(code)) return new Denied(missingOf(action))
  if (code === 'NoSuchEntity') return new NoSuchThing(action)
  return new Faltering(`IAM answered ${action} with ${status}`)
}

export function missingOf(action: string): Missing {
  return { what: action, why: 'the key may not ask for it', permission: `iam:${action}` }
}

const OTHERWISE = 'IAM answered in another way than its API has it'

function isText({ text }: XmlElement): boolean {
  return text.trim() !== ''
}

/** The text of what may be left out; throws where there is something else than a text. */
export function textOf(one: XmlElement, ...path: readonly string[]): string | undefined {
  const found = xmlAt(one, ...path)
  if (found && found.children.length > 0) throw new Unreadable(OTHERWISE)
  return xmlText(found)
}

/** The text of what is always there. */
export function wordOf(one: XmlElement, ...path: readonly string[]): string {
  const text = textOf(one, ...path)
  if (text === undefined) throw new Unreadable(OTHERWISE)
  return text
}

/** The members of a list that is always there. */
export function listOf(one: XmlElement, name: string): readonly XmlElement[] {
  if (!xmlAt(one, name)) throw new Unreadable(OTHERWISE)
  return membersOf(one, name)
}

/** The members of a list that is left out when it is empty; throws where it holds something else than members. */
export function membersOf(one: XmlElement, name: string): readonly XmlElement[] {
  const list = xmlAt(one, name)
  const members = xmlMembers(list)
  if (list && (isText(list) || members.length < list.children.length)) throw new Unreadable(OTHERWISE)
  return members
}

/** What members that are texts say. */
export function wordsOf(one: XmlElement, name: string): readonly string[] {
  return membersOf(one, name).map((member) => wordOf(member))
}

/** Each page of a list. A marker that comes again is a circle. */
export async function* pages(
  iam: Iam,
  action: string,
  parameters: Parameters,
  signal: AbortSignal,
): AsyncGenerator<XmlElement, void> {
  const seen = new Set<string>()
  for (let marker: string | undefined; ;) {
    signal.throwIfAborted()
    const more: Parameters = marker === undefined ? {} : { Marker: marker }
    const page = await call(iam, action, { MaxItems: PAGE_ITEMS, ...parameters, ...more }, signal)
    yield page
    const goesOn = xmlText(page, 'IsTruncated') === 'true'
    marker = textOf(page, 'Marker')
    if (!goesOn && (marker !== undefined || (textOf(page, 'IsTruncated') ?? 'false') !== 'false'))
      throw new Unreadable(OTHERWISE)
    if (!goesOn) return
    if (marker === undefined || seen.has(marker) || seen.size >= PAGES_MAX)
      throw new Unreadable('a list of IAM leads back to where it was')
    seen.add(marker)
  }
}

/** What is found of one of many things; nothing, and a hole, where the key may not look. What went away since it was listed has nothing. */
export const orMissing: Guard = async (look, holes) => {
  try {
    return await look()
  } catch (error) {
    if (error instanceof NoSuchThing) return []
    if (!(error instanceof Denied) || error instanceof KeyOver) throw error
    holes.denied += 1
    holes.add(error.missing)
    return []
  }
}
