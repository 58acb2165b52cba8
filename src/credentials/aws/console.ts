import { z } from 'zod'
import { askTarget, refusedBy, textAt } from '../issued/ask.ts'
import type { Values } from '../issued/handed.ts'
import { LeaseFailure } from '../writer.ts'
import type { AwsNeeds } from './api.ts'
import type { AwsSettings } from './settings.ts'

const PLACES = {
  aws: { signIn: 'https://signin.aws.amazon.com', console: 'https://console.aws.amazon.com/' },
  'aws-us-gov': {
    signIn: 'https://signin.amazonaws-us-gov.com',
    console: 'https://console.amazonaws-us-gov.com/',
  },
  'aws-cn': { signIn: 'https://signin.amazonaws.cn', console: 'https://console.amazonaws.cn/' },
} as const

const Session = z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), sessionToken: z.string() })

/**
 * A link into the console ("Enable custom identity broker access to the AWS console"). `SessionDuration` is left out, so the console's session ends with the
 * keys and not later.
 */
export async function signInLink(
  { egress }: AwsNeeds,
  settings: AwsSettings,
  values: Values,
  signal: AbortSignal,
): Promise<string> {
  const { accessKeyId, secretAccessKey, sessionToken } = Session.parse(values)
  const place = PLACES[settings.partition]
  const base = settings.endpoint === undefined ? place.signIn : new URL(settings.endpoint).origin
  const session = { sessionId: accessKeyId, sessionKey: secretAccessKey, sessionToken }
  // By GET, as AWS says it is asked.
  const question = new URLSearchParams({ Action: 'getSigninToken', Session: JSON.stringify(session) })
  const asking = {
    method: 'GET',
    url: `${base}/federation?${question.toString()}`,
    headers: {},
    ca: settings.ca,
  } as const
  const answer = await askTarget(egress, asking, signal)
  if (answer.status !== 200) throw refusedBy('getSigninToken', answer)
  const token = textAt(answer.json, 'SigninToken')
  if (token === undefined) throw new LeaseFailure('AWS answered without a sign-in token')
  const query = new URLSearchParams({
    Action: 'login',
    Issuer: 'reeve',
    Destination: place.console,
    SigninToken: token,
  })
  return `${base}/federation?${query.toString()}`
}
