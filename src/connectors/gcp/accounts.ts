/** Service accounts, their keys, and API keys. */
import {
  credential,
  grant,
  inPages,
  known,
  principal,
  unknown,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { z } from 'zod'
import { whenOf } from './api.ts'
import { assetPages, TYPES, type Asset, type Gcp } from './assets.ts'
import {
  accountIn,
  accountNamed,
  accountOf,
  accountsBelow,
  accountsIn,
  keyOf,
  lineOf,
  textAt,
  type Accounts,
} from './things.ts'

/** Google writes this for a key that never ends. */
const NEVER = /^9999-/

/** Behind something that was not understood no place is kept: a reading that was cut would forget it, and close as whole. */
export async function* readAccounts(gcp: Gcp, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const told = new Set<string>()
  let odd = 0
  const wanted = { content: 'RESOURCE' as const, types: [TYPES.account] }
  for await (const { items, next } of assetPages(gcp, wanted, since.cursor, signal)) {
    const page: Observation[] = []
    for (const asset of items) {
      const account = tellAccount(asset, gcp.parent, told)
      odd += account.length === 0 ? 1 : 0
      page.push(...account)
    }
    yield* inPages(page, odd === 0 ? next : undefined)
  }
  return closed(odd, 'service accounts')
}

function closed(odd: number, what: string): ScopeReport {
  if (odd === 0) return { status: 'complete', missing: [] }
  return {
    status: 'partial',
    missing: [{ what: `${odd} ${what}`, why: 'they are told in another way than their API has it' }],
  }
}

function tellAccount(asset: Asset, parent: string, told: Set<string>): Observation[] {
  const account = accountIn(asset)
  const data = asset.resource?.data ?? {}
  const line = lineOf(asset, parent)
  const [project] = line
  if (!account || project === undefined) return []
  const description = textAt(data, 'description')
  const name = textAt(data, 'displayName')
  return [
    principal({
      id: accountOf(account.uniqueId),
      type: 'service',
      name: account.email,
      aliases: name === undefined ? [] : [name],
      state: known(data['disabled'] === true ? 'disabled' : 'active'),
      interactive: known(false),
      tags: description === undefined ? {} : { description },
      facts: {
        project: textAt(data, 'projectId') ?? null,
        // "Default service accounts": made by Google with the project, and Editor of it unless that was switched off.
        isDefault: /@(?:developer|appspot)\.gserviceaccount\.com$/.test(account.email),
      },
    }),
    below(project, accountOf(account.uniqueId)),
    ...line.flatMap((node, at) => tellBelow(node, line[at + 1], told)),
  ]
}

/** Of a node: all its service accounts as one, which those of the node above are as well. */
function tellBelow(node: string, above: string | undefined, told: Set<string>): Observation[] {
  if (told.has(node)) return []
  told.add(node)
  return [
    principal({
      id: accountsBelow(node),
      type: 'role',
      name: `service accounts of ${node}`,
      state: known('active'),
      interactive: known(false),
      facts: { isBuiltIn: true },
    }),
    ...(above === undefined ? [] : [below(above, accountsBelow(node))]),
  ]
}

function below(node: string, on: { readonly kind: string; readonly id: string }): Observation {
  return grant({
    id: { kind: 'below', id: `${node}/${on.kind}/${on.id}` },
    principal: accountsBelow(node),
    on,
    privilege: 'holds',
    level: 'impersonate',
    grantable: known(false),
  })
}

export async function* readKeys(
  gcp: Gcp,
  since: Since,
  now: Date,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const accounts = await accountsIn(gcp, signal)
  let odd = 0
  const wanted = { content: 'RESOURCE' as const, types: [TYPES.key] }
  for await (const { items, next } of assetPages(gcp, wanted, since.cursor, signal)) {
    const page: Observation[] = []
    for (const asset of items) {
      // Google turns over its own by itself, and gives them to nobody.
      if (textAt(asset.resource?.data ?? {}, 'keyType') === 'SYSTEM_MANAGED') continue
      const key = tellKey(asset, accounts, now)
      if (key) page.push(key)
      else odd += 1
    }
    yield* inPages(page, odd === 0 ? next : undefined)
  }
  return closed(odd, 'keys')
}

function tellKey(asset: Asset, accounts: Accounts, now: Date): Observation | undefined {
  const data = asset.resource?.data ?? {}
  const key = /\/keys\/([^/]+)$/.exec(asset.name)?.[1]
  const account = accountNamed(asset.name, accounts) ?? accountNamed(textAt(data, 'name') ?? '', accounts)
  if (key === undefined || !account) return undefined
  const [made, ends] = [whenOf(textAt(data, 'validAfterTime')), textAt(data, 'validBeforeTime')]
  const isEndless = ends !== undefined && NEVER.test(ends)
  const end = whenOf(ends)
  const isOver = !isEndless && end.known && end.value <= now
  const algorithm = textAt(data, 'keyAlgorithm')
  const isShort = algorithm === 'KEY_ALG_RSA_1024'
  return credential({
    id: keyOf(account.uniqueId, key),
    principal: known(accountOf(account.uniqueId)),
    type: 'key-pair',
    name: `${account.email}: ${key}`,
    state: known(data['disabled'] === true ? 'inactive' : isOver ? 'expired' : 'active'),
    createdAt: made,
    rotatedAt: made,
    expiresAt: isEndless ? known('never') : end,
    // The file of a key names it in the open: `private_key_id`.
    fingerprints: known([{ alg: 'key-id', value: key }]),
    bindings: known([]),
    scopes: unknown('unsupported'),
    strength: algorithm === undefined ? unknown('unsupported') : known(isShort ? 'weak' : 'strong'),
    strengthWhy: isShort ? ['it is an RSA key of 1024 bits'] : [],
    facts: {
      algorithm: algorithm ?? null,
      origin: textAt(data, 'keyOrigin') ?? null,
      disableReason: textAt(data, 'disableReason') ?? null,
    },
  })
}

// API Keys API v2, `Key`: what restricts it. What is not named here is not kept, the key first of all.
const Restrictions = z.object({
  browserKeyRestrictions: z.object({ allowedReferrers: z.array(z.string()).default([]) }).optional(),
  serverKeyRestrictions: z.object({ allowedIps: z.array(z.string()).default([]) }).optional(),
  androidKeyRestrictions: z.unknown().optional(),
  iosKeyRestrictions: z.unknown().optional(),
  apiTargets: z.array(z.object({ service: z.string().default('') })).default([]),
})

export async function* readApiKeys(gcp: Gcp, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const accounts = await accountsIn(gcp, signal)
  let odd = 0
  const wanted = { content: 'RESOURCE' as const, types: [TYPES.apiKey] }
  for await (const { items, next } of assetPages(gcp, wanted, since.cursor, signal)) {
    const page: Observation[] = []
    for (const asset of items) {
      const key = tellApiKey(asset, accounts)
      if (key) page.push(key)
      else odd += 1
    }
    yield* inPages(page, odd === 0 ? next : undefined)
  }
  return closed(odd, 'API keys')
}

function tellApiKey(asset: Asset, accounts: Accounts): Observation | undefined {
  const data = asset.resource?.data ?? {}
  const id = textAt(data, 'uid') ?? /\/keys\/([^/]+)$/.exec(asset.name)?.[1]
  const parsed = Restrictions.safeParse(data['restrictions'] ?? {})
  if (id === undefined || !parsed.success) return undefined
  const { browserKeyRestrictions: pages, serverKeyRestrictions: servers, apiTargets, ...apps } = parsed.data
  const isApp = apps.androidKeyRestrictions !== undefined || apps.iosKeyRestrictions !== undefined
  const isOpen = !isApp && (pages?.allowedReferrers.length ?? 0) + (servers?.allowedIps.length ?? 0) === 0
  const why = [
    ...(isOpen ? ['it is taken from everywhere'] : []),
    ...(apiTargets.length === 0 ? ['it is taken by every API that the project has on'] : []),
  ]
  const account = accounts.get(textAt(data, 'serviceAccountEmail')?.toLowerCase() ?? '')
  return credential({
    id: { kind: 'api-key', id },
    principal: account ? known(accountOf(account.uniqueId)) : unknown('unsupported'),
    type: 'api-key',
    name: textAt(data, 'displayName') ?? id,
    state: known(textAt(data, 'deleteTime') === undefined ? 'active' : 'revoked'),
    createdAt: whenOf(textAt(data, 'createTime')),
    expiresAt: known('never'),
    scopes: known(apiTargets.map(({ service }) => service).toSorted()),
    bindings: known(servers && !isOpen ? ['ip'] : pages && !isOpen ? ['host'] : []),
    strength: known(why.length === 0 ? 'strong' : 'weak'),
    strengthWhy: why,
    facts: {
      allowedIps: servers?.allowedIps ?? [],
      allowedReferrers: pages?.allowedReferrers ?? [],
      isForApps: isApp,
      project: asset.ancestors[0] ?? null,
    },
  })
}
