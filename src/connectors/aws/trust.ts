/** Whom roles believe, statement by statement of their trust policies. */
import { sha256 } from '../../kernel/crypto.ts'
import type { Observation } from '../connector.ts'
import { accountOf, type Role } from './account.ts'
import type { Statement } from './document.ts'
import { isLike } from './glob.ts'
import { idOf } from './things.ts'

const ASSUMING = ['sts:assumerole', 'sts:assumerolewithwebidentity', 'sts:assumerolewithsaml']
const HASH_CHARACTERS = 16
/** "Comparing web identity federation APIs": providers that need no entry in the account. */
const WELL_KNOWN = ['cognito-identity.amazonaws.com', 'accounts.google.com', 'www.amazon.com', 'graph.facebook.com']

/** `foreign-trust` is of another account or of everybody, `role-trust` of an issuer of tokens. */
type Believed = {
  readonly kind: 'role-trust' | 'foreign-trust' | 'account-trust' | 'service-trust'
  readonly issuer: string
  readonly isWildcard: boolean
  /** In front of the names of its claims among the conditions. */
  readonly claimsOf?: string
}

export function tellTrusts(role: Role, account: string): Observation[] {
  const told = new Map<string, Observation>()
  for (const statement of (role.trust ?? []).filter(isAssuming)) {
    if (!statement.isAllow) continue
    const hash = sha256(JSON.stringify(statement)).toString('hex').slice(0, HASH_CHARACTERS)
    const all = statement.isNotPrincipal ? { AWS: ['*'] } : (statement.principals ?? {})
    for (const [sort, names] of Object.entries(all)) {
      for (const name of names) {
        const believed = believedOf(sort, name, account)
        const { claims, isOpen } = claimsOf(statement, believed.claimsOf)
        const id = `${role.id}\n${hash}\n${sort} ${name}`
        told.set(id, {
          kind: 'trust',
          id: { kind: believed.kind, id },
          from: { issuer: believed.issuer, claims },
          to: idOf(role),
          wildcard: believed.isWildcard || isOpen,
          facts: {
            where: `the trust policy of the role ${role.name}`,
            method: statement.conditions.length > 0 ? 'conditional' : 'open',
            ...(statement.isNotPrincipal && { isEverybodyBut: true }),
          },
        })
      }
    }
  }
  return [...told.values()]
}

export function isAssuming({ actions }: Statement): boolean {
  return ASSUMING.some((action) => actions.of.some((pattern) => isLike(action, pattern)) !== actions.isBut)
}

function believedOf(sort: string, name: string, account: string): Believed {
  if (sort === 'Service') return { kind: 'service-trust', issuer: name, isWildcard: name === '*' }
  if (sort === 'Federated') {
    const provider =
      /^arn:[\w-]+:iam::\d{12}:oidc-provider\/(.+)$/.exec(name)?.[1] ?? WELL_KNOWN.find((one) => one === name)
    if (provider !== undefined) {
      return { kind: 'role-trust', issuer: `https://${provider}`, isWildcard: false, claimsOf: `${provider}:` }
    }
    return { kind: 'role-trust', issuer: name, isWildcard: name === '*', claimsOf: 'SAML:' }
  }
  if (name === '*') return { kind: 'foreign-trust', issuer: '*', isWildcard: true }
  const of = /^\d{12}$/.test(name) ? name : accountOf(name)
  // What is no ARN any more is the id of somebody who was deleted: it lets in nobody.
  const isForeign = of !== undefined && of !== account
  return {
    kind: isForeign ? 'foreign-trust' : 'account-trust',
    issuer: name,
    isWildcard: isForeign && isWholeAccount(name),
  }
}

export function isWholeAccount(name: string): boolean {
  return /^\d{12}$/.test(name) || /^arn:[\w-]+:iam::\d{12}:root$/.test(name)
}

/** What has to be shown. A condition that holds where the claim is missing (`…IfExists`), or that names what is kept out, asks for nothing. */
function claimsOf({ conditions }: Statement, prefix: string | undefined) {
  const claims: Record<string, string[]> = {}
  let isOpen = false
  for (const { operator, key, values } of conditions) {
    const wanted = /^(?:ForAnyValue:)?(String(?:Equals|EqualsIgnoreCase|Like)|Arn(?:Equals|Like))$/i.exec(operator)?.[1]
    if (wanted === undefined) continue
    const isClaim = prefix !== undefined && key.toLowerCase().startsWith(prefix.toLowerCase())
    const name = isClaim ? key.slice(prefix.length) : key
    const isPattern = !/^StringEquals/i.test(wanted)
    if (isClaim && name.toLowerCase() === 'sub' && isPattern && values.some((value) => /[*?]/.test(value)))
      isOpen = true
    // What a partner made up for itself is for it and the role to know.
    claims[name] = /^sts:ExternalId$/i.test(key) ? ['(asked for)'] : [...(claims[name] ?? []), ...values]
  }
  return { claims, isOpen }
}
