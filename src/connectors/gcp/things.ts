/** Native ids of what Google Cloud has, and what of an asset says which it is. */
import type { NativeId } from '../connector.ts'
import { everyAsset, TYPES, type Asset, type Gcp } from './assets.ts'

export const nodeOf = (node: string): NativeId => ({ kind: 'node', id: node })
export const accountOf = (uniqueId: string): NativeId => ({ kind: 'service-account', id: uniqueId })
export const keyOf = (account: string, key: string): NativeId => ({
  kind: 'service-account-key',
  id: `${account}/${key}`,
})
export const poolOf = (pool: string): NativeId => ({ kind: 'workload-identity-pool', id: pool })
/** All service accounts below a node: who may act as one there may act as each. */
export const accountsBelow = (node: string): NativeId => ({ kind: 'service-accounts', id: node })

/** The node itself, then those above it up to what is read. */
export function lineOf({ ancestors }: Asset, parent: string): string[] {
  const end = ancestors.indexOf(parent)
  return end < 0 ? [...ancestors] : ancestors.slice(0, end + 1)
}

/** A text among the data of an asset. */
export function textAt(data: Readonly<Record<string, unknown>>, ...names: string[]): string | undefined {
  for (const name of names) {
    const value = data[name]
    if (typeof value === 'string' && value !== '') return value
  }
  return undefined
}

export type Account = { readonly uniqueId: string; readonly email: string }
/** Service accounts by unique id and by address: names of assets and members of bindings have either. */
export type Accounts = ReadonlyMap<string, Account> & { readonly odd: number }

export async function accountsIn(gcp: Gcp, signal: AbortSignal): Promise<Accounts> {
  const found = Object.assign(new Map<string, Account>(), { odd: 0 })
  for await (const asset of everyAsset(gcp, { content: 'RESOURCE', types: [TYPES.account] }, signal)) {
    const account = accountIn(asset)
    if (!account) {
      found.odd += 1
      continue
    }
    found.set(account.uniqueId, account)
    found.set(account.email, account)
  }
  return found
}

export function accountIn({ resource }: Asset): Account | undefined {
  const [uniqueId, email] = [textAt(resource?.data ?? {}, 'uniqueId'), textAt(resource?.data ?? {}, 'email')]
  return uniqueId === undefined || email === undefined ? undefined : { uniqueId, email: email.toLowerCase() }
}

/** What stands behind `serviceAccounts/` in a name: an address or a unique id. */
export function accountNamed(name: string, accounts: Accounts): Account | undefined {
  const named = /\/serviceAccounts\/([^/]+)/.exec(name)?.[1]
  return named === undefined ? undefined : accounts.get(named.toLowerCase())
}

/** The name of a pool or provider with its project by number, as bindings write it. */
export function numbered({ name, ancestors: [project = ''] }: Asset): string {
  const tail = name.replace(/^\/\/iam\.googleapis\.com\//, '')
  return /^projects\/\d+$/.test(project) ? tail.replace(/^projects\/[^/]+/, project) : tail
}
