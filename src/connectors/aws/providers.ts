/** Issuers of tokens that the account knows: OpenID providers with their audiences, SAML providers with their end. */
import {
  credential,
  Denied,
  Holes,
  known,
  resource,
  tellEach,
  type Item,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { instantOf } from './account.ts'
import { call, KeyOver, listOf, orMissing, textOf, wordOf, wordsOf, type Iam } from './api.ts'

export async function* readProviders(iam: Iam, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const lists = [
    ['ListOpenIDConnectProviders', 'OpenIDConnectProviderList', openId],
    ['ListSAMLProviders', 'SAMLProviderList', saml],
  ] as const
  const items: Item[] = []
  let denied: Denied | undefined
  for (const [action, list, tell] of lists) {
    try {
      for (const one of listOf(await call(iam, action, {}, signal), list)) {
        const arn = wordOf(one, 'Arn')
        items.push({ key: arn, tell: () => tell(iam, arn, signal) })
      }
    } catch (error) {
      if (!(error instanceof Denied) || error instanceof KeyOver || denied) throw error
      denied = error
      holes.add(error.missing)
    }
  }
  return yield* tellEach(orMissing, { items, holes }, since, signal)
}

async function openId(iam: Iam, arn: string, signal: AbortSignal): Promise<Observation[]> {
  const told = await call(iam, 'GetOpenIDConnectProvider', { OpenIDConnectProviderArn: arn }, signal)
  const issuer = `https://${wordOf(told, 'Url').replace(/^https:\/\//, '')}`
  const audiences = wordsOf(told, 'ClientIDList')
  const facts = { arn, issuer, audiences: [...audiences], thumbprints: wordsOf(told, 'ThumbprintList').length }
  return [resource({ id: { kind: 'oidc-provider', id: arn }, type: 'oidc-provider', name: issuer, facts })]
}

async function saml(iam: Iam, arn: string, signal: AbortSignal): Promise<Observation[]> {
  const told = await call(iam, 'GetSAMLProvider', { SAMLProviderArn: arn }, signal)
  const until = instantOf(textOf(told, 'ValidUntil'))
  const name = arn.slice(arn.lastIndexOf('/') + 1)
  return [
    resource({ id: { kind: 'saml-provider', id: arn }, type: 'saml-provider', name, facts: { arn } }),
    credential({
      id: { kind: 'saml-metadata', id: arn },
      type: 'certificate',
      name: `${name}: what its answers are checked with`,
      ...(until && { expiresAt: known(until) }),
      heldBy: known('source'),
    }),
  ]
}
