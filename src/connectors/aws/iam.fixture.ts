import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Observation } from '../connector.ts'
import { awsConnector } from './connector.ts'

export const ACCOUNT = '123456789012'
const ROLES =
  '<RoleDetailList><member><RoleName>it</RoleName><RoleId>AROA1</RoleId><Arn>arn:aws:iam::123456789012:role/it</Arn></member></RoleDetailList>'

/** What IAM answers where it has nothing to say. */
const NOTHING: Readonly<Record<string, string>> = {
  ListUsers: '<Users/>',
  ListAccessKeys: '<AccessKeyMetadata/>',
  ListMFADevices: '<MFADevices/>',
  ListOpenIDConnectProviders: '<OpenIDConnectProviderList/>',
  ListSAMLProviders: '<SAMLProviderList/>',
  GetAccessKeyLastUsed: '<AccessKeyLastUsed><Region>N/A</Region><ServiceName>N/A</ServiceName></AccessKeyLastUsed>',
}
const LISTS = ['UserDetailList', 'GroupDetailList', 'RoleDetailList', 'Policies']

/** Lists that are empty are there. */
function whole(action: string, said: string): string {
  if (action !== 'GetAccountAuthorizationDetails') return said === '' ? (NOTHING[action] ?? '') : said
  return said + LISTS.map((list) => (said.includes(`<${list}>`) ? '' : `<${list}/>`)).join('')
}

type Said = string | { readonly status: number; readonly code: string }
type Asked = Readonly<Record<string, string>>

/** A stub: it answers as the API reference of IAM writes its answers. What is proven against a program stands in the page. */
export async function stub(t: Pick<TestContext, 'after'>, say: (asked: Asked, nth: number) => Said | undefined) {
  const asked: Asked[] = []
  const server = createServer((request, response) => void text(request).then((body) => answer(body, response)))
  const answer = (body: string, response: ServerResponse) => {
    const fields = Object.fromEntries(new URLSearchParams(body))
    asked.push(fields)
    const { Action = '' } = fields
    const said =
      say(fields, asked.filter((each) => each['Action'] === Action).length) ??
      (Action === 'GetAccountAuthorizationDetails' ? ROLES : '')
    response.setHeader('content-type', 'text/xml')
    if (typeof said === 'string')
      response.end(
        `<${Action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><${Action}Result>${whole(Action, said)}</${Action}Result></${Action}Response>`,
      )
    else
      response
        .writeHead(said.status)
        .end(
          `<ErrorResponse><Error><Type>Sender</Type><Code>${said.code}</Code><Message>of AWS</Message></Error></ErrorResponse>`,
        )
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`, asked }
}

export async function reading(settings: object, scope: string, cursor?: string) {
  const signal = new AbortController().signal
  const parsed = awsConnector.settings.parse(settings)
  await using source = await awsConnector.open(
    {
      settings: parsed,
      credential: new Secret(
        JSON.stringify({ accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'secret-of-the-stub' }),
      ),
      clock: systemClock,
      fingerprint: () => ({ alg: 'hmac-sha256', keyId: '0'.repeat(12), value: '0'.repeat(64) }),
      http: sourceHttpTo(awsConnector.address(parsed), systemClock),
      ours: async () => new Set(),
      custody: () => Buffer.of(),
    },
    signal,
  )
  const told: Observation[] = []
  const pages = source.read(scope, { cursor }, signal)
  let at: string | undefined
  for (;;) {
    const next = await pages.next()
    if (next.done) return { told, report: next.value, cursor: at }
    told.push(...next.value.observations)
    at = next.value.cursor ?? at
  }
}
