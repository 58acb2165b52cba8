import { awsHost, awsRequest, type AwsCall } from '../../kernel/aws/query.ts'
import { NoXml, readXml, xmlEvery } from '../../kernel/aws/xml.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Egress } from '../../kernel/egress.ts'
import { askTarget, type Answer } from '../issued/ask.ts'
import type { AwsSettings } from './settings.ts'

export type AwsNeeds = { readonly egress: Egress; readonly clock: Pick<Clock, 'now'> }

/** One call of a query API of AWS. Whatever it says is the caller's to judge. */
export function callAws(
  { egress, clock }: AwsNeeds,
  settings: AwsSettings,
  call: AwsCall,
  signal: AbortSignal,
): Promise<Answer> {
  const url = new URL(settings.endpoint ?? `https://${awsHost(call.service, settings)}/`)
  const { headers, body } = awsRequest(call, { ...settings, url, at: clock.now() })
  return askTarget(egress, { method: 'POST', url: url.href, headers, body, ca: settings.ca }, signal)
}

/** The text of the first element of that name, wherever it stands. */
export function element(answer: Answer, name: string): string | undefined {
  return elements(answer, name)[0]
}

/** All that hold text; what is no XML has none. */
export function elements({ text }: Answer, name: string): string[] {
  try {
    return xmlEvery(readXml(text), name).flatMap((found) => (found.children.length > 0 ? [] : [found.text]))
  } catch (error) {
    if (error instanceof NoXml) return []
    throw error
  }
}

/** AWS's code of an error, such as `AccessDenied`. */
export function errorCode(answer: Answer): string {
  return element(answer, 'Code') ?? String(answer.status)
}
