/** Workload identity pools, and whom their providers believe. */
import { z } from 'zod'
import { inPages, known, principal, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { assetPages, TYPES, type Asset, type Gcp } from './assets.ts'
import { numbered, poolOf, textAt } from './things.ts'

// IAM API v1, `WorkloadIdentityPoolProvider`.
const Provider = z.object({
  disabled: z.boolean().default(false),
  state: z.string().optional(),
  attributeCondition: z.string().default(''),
  attributeMapping: z.record(z.string(), z.string()).default({}),
  oidc: z.object({ issuerUri: z.string(), allowedAudiences: z.array(z.string()).default([]) }).optional(),
  aws: z.object({ accountId: z.string() }).optional(),
  saml: z.unknown().optional(),
  x509: z.unknown().optional(),
})
type Provider = z.output<typeof Provider>

export async function* readFederation(gcp: Gcp, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  let odd = 0
  const wanted = { content: 'RESOURCE' as const, types: [TYPES.pool, TYPES.provider] }
  for await (const { items, next } of assetPages(gcp, wanted, since.cursor, signal)) {
    const told: Observation[] = []
    for (const asset of items) {
      if (asset.ancestors.length === 0) odd += 1
      else if (asset.assetType === TYPES.pool) told.push(tellPool(asset))
      else {
        const { data } = Provider.safeParse(asset.resource?.data ?? {})
        if (data) told.push(...tellProvider(asset, data))
        else odd += 1
      }
    }
    // As of accounts: a reading that goes on behind what was not understood would forget it.
    yield* inPages(told, odd === 0 ? next : undefined)
  }
  if (odd === 0) return { status: 'complete', missing: [] }
  const missing = { what: `${odd} pools or providers`, why: 'they are told in another way than their API has it' }
  return { status: 'partial', missing: [missing] }
}

function tellPool(asset: Asset): Observation {
  const data = asset.resource?.data ?? {}
  const isOff = data['disabled'] === true || data['state'] === 'DELETED'
  const name = numbered(asset)
  const description = textAt(data, 'description')
  return principal({
    id: poolOf(name),
    type: 'group',
    name: textAt(data, 'displayName') ?? name,
    aliases: [name],
    state: known(isOff ? 'disabled' : 'active'),
    interactive: known(false),
    tags: description === undefined ? {} : { description },
    facts: { mode: textAt(data, 'mode') ?? null },
  })
}

function tellProvider(asset: Asset, provider: Provider): Observation[] {
  if (provider.disabled || provider.state === 'DELETED') return []
  const name = numbered(asset)
  const { attributeCondition: condition, attributeMapping: mapping, oidc, aws } = provider
  const isOpen = condition.trim() === ''
  const issuer =
    oidc?.issuerUri ?? (aws ? `AWS account ${aws.accountId}` : provider.saml === undefined ? 'X.509' : 'SAML provider')
  const claims = {
    ...(oidc && {
      // "Prepare your token": where no audience is named it is the provider itself.
      aud: oidc.allowedAudiences.length > 0 ? oidc.allowedAudiences : [`https://iam.googleapis.com/${name}`],
    }),
    ...askedBy(condition, mapping),
  }
  return [
    {
      kind: 'trust',
      id: { kind: 'pool-provider', id: name },
      from: { issuer, claims },
      to: poolOf(name.replace(/\/providers\/[^/]+$/, '')),
      // An account of AWS is one company's; an issuer of tokens has everybody's.
      wildcard: isOpen && aws === undefined,
      facts: {
        method: oidc ? 'oidc' : aws ? 'aws' : provider.saml === undefined ? 'x509' : 'saml',
        where: `provider ${name.split('/').at(-1)} of pool ${name.split('/').at(-3)}`,
        condition: isOpen ? null : condition,
        mapping: Object.entries(mapping)
          .map(([to, from]) => `${to} = ${from}`)
          .toSorted(),
      },
    },
  ]
}

const EQUAL = /^(assertion|google|attribute)\.([\w.]+)\s*==\s*(?:'([^']*)'|"([^"]*)")$/

/** Claims that a condition asks for by name and value. One that can hold in another way as well asks for none of them, only for itself. */
function askedBy(condition: string, mapping: Readonly<Record<string, string>>): Record<string, string[]> {
  const text = condition.trim()
  if (text === '') return {}
  const parts = /[|!?(){}[\]]/.test(text) ? [] : text.split('&&').map((part) => EQUAL.exec(part.trim()))
  const claims: Record<string, string[]> = {}
  for (const part of parts) {
    if (!part) continue
    const [, of = '', name = '', single, double] = part
    const from = of === 'assertion' ? `assertion.${name}` : (mapping[`${of}.${name}`] ?? '')
    const claim = /^assertion\.([\w.]+)$/.exec(from)?.[1]
    if (claim !== undefined) claims[claim] = [single ?? double ?? '']
  }
  return Object.keys(claims).length > 0 ? claims : { condition: [text] }
}
