/** Who may what: every binding of every policy at and below what is read. */
import {
  grant,
  Holes,
  inPages,
  known,
  resource,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { whenOf } from './api.ts'
import { assetPages, TYPES, type Asset, type Binding, type Gcp } from './assets.ts'
import { memberOf } from './members.ts'
import { amountsOfRole, customRoles, type Amounts, type Roles } from './roles.ts'
import { accountNamed, accountOf, accountsBelow, accountsIn, nodeOf, type Accounts } from './things.ts'

const NODES: readonly string[] = [TYPES.organization, TYPES.folder, TYPES.project]
const HASH_CHARACTERS = 16

type Reading = {
  readonly gcp: Gcp
  readonly accounts: Accounts
  readonly roles: Roles
  readonly holes: Holes
  /** Members and things that this reading told. */
  readonly told: Set<string>
}

export async function* readPolicies(gcp: Gcp, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const reading: Reading = {
    gcp,
    accounts: await accountsIn(gcp, signal),
    roles: await customRoles(gcp, signal),
    holes: new Holes(),
    told: new Set(),
  }
  if (reading.accounts.odd > 0)
    reading.holes.add({
      what: `which accounts ${reading.accounts.odd} service accounts are`,
      why: 'they are told in another way than their API has it',
    })
  for await (const { items, next } of assetPages(gcp, { content: 'IAM_POLICY' }, since.cursor, signal)) {
    const told = items.flatMap((asset) => tellPolicy(reading, asset))
    // A reading that goes on behind a hole would forget it.
    yield* inPages(told, reading.holes.missing.length === 0 ? next : undefined)
  }
  const holes = reading.holes.all()
  return { status: holes.length > 0 ? 'partial' : 'complete', missing: [...holes, ...aboveOf(gcp.parent)] }
}

/** Policies are inherited, and those above what is read are not among those below it. */
function aboveOf(parent: string): Missing[] {
  if (parent.startsWith('organizations/')) return []
  const permission = 'a source whose parent is the organization'
  return [{ what: 'rights that are inherited', why: `only ${parent} and what is below it is read`, permission }]
}

function tellPolicy(reading: Reading, asset: Asset): Observation[] {
  const place = placeOf(asset, reading.accounts)
  if (!place) {
    reading.holes.add({
      what: 'who may act as a service account',
      why: 'the account is not among those that were told',
    })
    return []
  }
  const bindings = new Map<string, Observation[]>()
  for (const binding of asset.iamPolicy?.bindings ?? []) {
    const amounts = amountsOfRole(binding.role, reading.roles)
    if (!amounts)
      reading.holes.add({
        what: `what the role ${binding.role} amounts to`,
        why: 'it was not among the roles that were told',
        permission: 'iam.roles.list where the role stands',
      })
    for (const member of binding.members) {
      const told = tellBinding(reading, place, { binding, member, amounts: amounts ?? { level: 'use', actsAs: false } })
      bindings.set(`${binding.role}\n${member}\n${binding.condition?.expression ?? ''}`, told)
    }
  }
  return [...place.told, ...[...bindings.values()].flat()]
}

type Place = {
  readonly on: NativeId
  /** Where its holder acts as each service account; the account itself, or all below a node. */
  readonly acting: NativeId | undefined
  readonly told: readonly Observation[]
}

function placeOf(asset: Asset, accounts: Accounts): Place | undefined {
  const [node] = asset.ancestors
  if (NODES.includes(asset.assetType) && node !== undefined)
    return { on: nodeOf(node), acting: accountsBelow(node), told: [] }
  if (asset.assetType === TYPES.account) {
    const account = accountNamed(asset.name, accounts)
    return account && { on: accountOf(account.uniqueId), acting: accountOf(account.uniqueId), told: [] }
  }
  const on: NativeId = { kind: 'resource', id: asset.name }
  const [service = '', sort = ''] = asset.assetType.split('/')
  const type = `${service.split('.')[0] ?? ''}-${sort}`.toLowerCase()
  const about = resource({
    id: on,
    type: `gcp-${type}`.slice(0, 64),
    name: asset.name.replace(/^\/\/[^/]+\//, ''),
    ...(node !== undefined && { parent: nodeOf(node) }),
  })
  return { on, acting: undefined, told: [about] }
}

type Bound = { readonly binding: Binding; readonly member: string; readonly amounts: Amounts }

function tellBinding(reading: Reading, place: Place, { binding, member, amounts }: Bound): Observation[] {
  const { accounts, gcp, told } = reading
  const { id, told: about } = memberOf(member, accounts, gcp.parent.startsWith('organizations/'))
  const isNew = !told.has(`${id.kind}/${id.id}`)
  told.add(`${id.kind}/${id.id}`)
  const expression = binding.condition?.expression
  const mark = expression === undefined ? '' : sha256(expression).toString('hex').slice(0, HASH_CHARACTERS)
  const key = `${place.on.kind}/${place.on.id}\n${binding.role}\n${member}\n${mark}`
  const rest = { principal: id, grantable: known(amounts.level === 'admin'), ...endOf(expression) }
  const facts = {
    role: binding.role,
    ...(expression !== undefined && { condition: expression, conditionTitle: binding.condition?.title ?? null }),
    ...(amounts.isBasic === true && { isBasic: true, isWildcard: amounts.level !== 'read' }),
  }
  // A basic role is a right to nearly everything: its permissions are thousands, and its own word for them is none.
  const privilege = amounts.isBasic === true ? `${binding.role} (*)` : binding.role
  const isOnAccount = place.on.kind === 'service-account'
  const acting =
    place.acting && amounts.actsAs
      ? [
          grant({
            id: { kind: 'acts-as', id: key },
            on: place.acting,
            privilege: binding.role,
            level: 'impersonate',
            ...rest,
            facts: { role: binding.role, condition: expression ?? null },
          }),
        ]
      : []
  return [
    ...(isNew ? about : []),
    ...(isOnAccount && acting.length > 0
      ? []
      : [grant({ id: { kind: 'binding', id: key }, on: place.on, privilege, level: amounts.level, ...rest, facts })]),
    ...acting,
  ]
}

/** IAM Conditions, "Configure temporary access": one that asks for nothing but the time ends by itself. */
const UNTIL = /^\s*request\.time\s*<\s*timestamp\(\s*["']([^"']{10,40})["']\s*\)\s*$/

function endOf(expression: string | undefined) {
  if (expression === undefined) return { expiresAt: known('never' as const) }
  const at = whenOf(UNTIL.exec(expression)?.[1])
  return { expiresAt: at.known ? at : known('never' as const) }
}
