/** Users, groups, roles and policies of one account, as `GetAccountAuthorizationDetails` lists them. */
import { Instant } from '../../kernel/instant.ts'
import { xmlAt, xmlText, type XmlElement } from '../../kernel/aws/xml.ts'
import { known, unknown, type Known } from '../connector.ts'
import { listOf, membersOf, pages, textOf, wordOf, wordsOf, type Iam } from './api.ts'
import { readDocument, type Statement } from './document.ts'

export const DETAILS = 'GetAccountAuthorizationDetails'

type Inline = { readonly name: string; readonly statements: readonly Statement[] | undefined }

/** What users, groups and roles have in common. */
type Holder = {
  /** IAM's own, that is never given again: `AIDA…`, `AGPA…`, `AROA…`. */
  readonly id: string
  readonly name: string
  readonly arn: string
  readonly path: string
  readonly createdAt: Known<Date>
  readonly inline: readonly Inline[]
  /** ARNs of managed policies. */
  readonly attached: readonly string[]
  readonly boundary: string | undefined
  readonly tags: Readonly<Record<string, string>>
}
export type User = Holder & { readonly kind: 'user'; readonly groups: readonly string[] }
export type Group = Holder & { readonly kind: 'group' }
export type Role = Holder & {
  readonly kind: 'role'
  readonly trust: readonly Statement[] | undefined
  readonly instanceProfiles: readonly string[]
  readonly lastUsed: { readonly at: Date; readonly region: string | undefined } | undefined
}
export type Managed = {
  readonly kind: 'policy'
  readonly id: string
  readonly name: string
  readonly arn: string
  readonly createdAt: Known<Date>
  readonly updatedAt: Known<Date>
  readonly statements: readonly Statement[] | undefined
}
export type Entity = User | Group | Role | Managed

/** The whole account at once: some thousands of each at most, by IAM's quotas. */
export type Account = {
  readonly users: readonly User[]
  readonly groups: readonly Group[]
  readonly roles: readonly Role[]
  /** By ARN. Those of AWS are kept when somebody here has them. */
  readonly policies: ReadonlyMap<string, Managed>
}

type Filter = 'User' | 'Group' | 'Role' | 'LocalManagedPolicy' | 'AWSManagedPolicy'
type Read = (one: XmlElement) => Entity

const LISTS: Readonly<Record<string, Read>> = {
  UserDetailList: userOf,
  GroupDetailList: groupOf,
  RoleDetailList: roleOf,
  Policies: managedOf,
}

/** Page by page what is of these kinds. */
export async function* entities(
  iam: Iam,
  filters: readonly Filter[],
  signal: AbortSignal,
): AsyncGenerator<readonly Entity[], void> {
  const asked = Object.fromEntries(filters.map((filter, at) => [`Filter.member.${at + 1}`, filter]))
  for await (const page of pages(iam, DETAILS, asked, signal))
    yield Object.entries(LISTS).flatMap(([list, read]) => listOf(page, list).map(read))
}

/** All of it. Throws `Denied`. */
export async function readAccount(iam: Iam, signal: AbortSignal): Promise<Account> {
  const found: Entity[] = []
  const filters = ['User', 'Group', 'Role', 'LocalManagedPolicy', 'AWSManagedPolicy'] as const
  for await (const page of entities(iam, filters, signal)) for (const one of page) found.push(one)
  const holders = found.filter((one) => one.kind !== 'policy')
  const had = new Set(
    holders.flatMap(({ attached, boundary }) => [...attached, ...(boundary === undefined ? [] : [boundary])]),
  )
  const policies = found.filter((one) => one.kind === 'policy').filter(({ arn }) => !isOfAws(arn) || had.has(arn))
  return {
    users: found.filter((one) => one.kind === 'user'),
    groups: found.filter((one) => one.kind === 'group'),
    roles: found.filter((one) => one.kind === 'role'),
    policies: new Map(policies.map((policy) => [policy.arn, policy])),
  }
}

/** `arn:aws:iam::aws:policy/…`: written by AWS, the same in every account. */
export function isOfAws(arn: string): boolean {
  return /^arn:[\w-]+:iam::aws:/.test(arn)
}

/** The account that an ARN of IAM stands in. */
export function accountOf(arn: string | undefined): string | undefined {
  return /^arn:[\w-]+:(?:iam|sts)::(\d{12}):/.exec(arn ?? '')?.[1]
}

function holderOf(one: XmlElement, kind: 'User' | 'Group' | 'Role'): Holder {
  return {
    id: wordOf(one, `${kind}Id`),
    name: wordOf(one, `${kind}Name`),
    arn: wordOf(one, 'Arn'),
    path: xmlText(one, 'Path') ?? '/',
    createdAt: whenOf(xmlText(one, 'CreateDate')),
    inline: membersOf(one, `${kind}PolicyList`).map((policy) => ({
      name: wordOf(policy, 'PolicyName'),
      statements: readDocument(xmlText(policy, 'PolicyDocument')),
    })),
    attached: membersOf(one, 'AttachedManagedPolicies').map((policy) => wordOf(policy, 'PolicyArn')),
    boundary: xmlAt(one, 'PermissionsBoundary') && wordOf(one, 'PermissionsBoundary', 'PermissionsBoundaryArn'),
    tags: Object.fromEntries(
      membersOf(one, 'Tags').map((tag) => [textOf(tag, 'Key') ?? '', textOf(tag, 'Value') ?? '']),
    ),
  }
}

function userOf(one: XmlElement): User {
  return { kind: 'user', ...holderOf(one, 'User'), groups: wordsOf(one, 'GroupList') }
}

function groupOf(one: XmlElement): Group {
  return { kind: 'group', ...holderOf(one, 'Group') }
}

function roleOf(one: XmlElement): Role {
  const at = instantOf(xmlText(one, 'RoleLastUsed', 'LastUsedDate'))
  return {
    kind: 'role',
    ...holderOf(one, 'Role'),
    trust: readDocument(xmlText(one, 'AssumeRolePolicyDocument')),
    instanceProfiles: membersOf(one, 'InstanceProfileList').map((each) => wordOf(each, 'InstanceProfileName')),
    lastUsed: at && { at, region: xmlText(one, 'RoleLastUsed', 'Region') },
  }
}

function managedOf(one: XmlElement): Managed {
  const arn = wordOf(one, 'Arn')
  const versions = membersOf(one, 'PolicyVersionList')
  const current = versions.find((version) => xmlText(version, 'IsDefaultVersion') === 'true')
  return {
    kind: 'policy',
    id: textOf(one, 'PolicyId') ?? arn,
    name: textOf(one, 'PolicyName') ?? arn.slice(arn.lastIndexOf('/') + 1),
    arn,
    createdAt: whenOf(xmlText(one, 'CreateDate')),
    updatedAt: whenOf(xmlText(one, 'UpdateDate')),
    statements: readDocument(xmlText(current, 'Document')),
  }
}

export function instantOf(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : Instant.safeDecode(text).data
}

export function whenOf(text: string | undefined): Known<Date> {
  const at = instantOf(text)
  return at ? known(at) : unknown('unsupported')
}
