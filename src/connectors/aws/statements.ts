/** What policies say, statement by statement: a right of a policy, or of who has it within itself, on everything that a pattern names. */
import { sha256 } from '../../kernel/crypto.ts'
import { grant, known, principal, resource, type NativeId, type Observation } from '../connector.ts'
import { isOfAws, type Account, type Managed } from './account.ts'
import type { Statement } from './document.ts'
import { idOf, tellAttachment, tellMembership } from './things.ts'

const HASH_CHARACTERS = 16
/** How many things of one statement are told apart. */
const PATTERNS_MAX = 500

/** Policies and what they say, who has which, who is in which group. */
export function tellPolicies(account: Account): { readonly told: Observation[]; readonly unread: string[] } {
  const patterns = new Set<string>()
  const told: Observation[] = []
  const unread: string[] = []
  for (const policy of account.policies.values()) {
    told.push(tellPolicy(policy))
    if (policy.statements === undefined) unread.push(`the policy ${policy.name}`)
    told.push(
      ...tellStatements({ holder: idOf(policy), kind: 'statement', of: policy.id }, policy.statements ?? [], patterns),
    )
  }
  const groups = new Map(account.groups.map((group) => [group.name, group]))
  for (const holder of [...account.users, ...account.groups, ...account.roles]) {
    for (const arn of new Set(holder.attached)) {
      const policy = account.policies.get(arn)
      if (policy) told.push(tellAttachment(holder, policy))
      else unread.push(`the policy ${arn} of ${holder.name}`)
    }
    for (const { name, statements } of holder.inline) {
      if (statements === undefined) unread.push(`the inline policy ${name} of ${holder.name}`)
      const from = { holder: idOf(holder), kind: 'inline-statement', of: `${holder.kind}/${holder.id}/${name}` }
      told.push(...tellStatements(from, statements ?? [], patterns))
    }
    if (holder.kind !== 'user') continue
    for (const name of new Set(holder.groups)) {
      const group = groups.get(name)
      if (group) told.push(tellMembership(holder, group))
    }
  }
  return { told, unread }
}

function tellPolicy(policy: Managed): Observation {
  const denies = (policy.statements ?? []).filter(({ isAllow }) => !isAllow).map(({ actions }) => wordsOf(actions))
  return principal({
    id: idOf(policy),
    type: 'role',
    name: policy.name,
    aliases: [policy.arn],
    state: known('active'),
    createdAt: policy.createdAt,
    interactive: known(false),
    facts: { arn: policy.arn, isBuiltIn: isOfAws(policy.arn), isRead: policy.statements !== undefined, denies },
  })
}

type From = { readonly holder: NativeId; readonly kind: string; readonly of: string }

function tellStatements(
  { holder, kind, of }: From,
  statements: readonly Statement[],
  patterns: Set<string>,
): Observation[] {
  const told = new Map<string, Observation>()
  for (const statement of statements.filter(({ isAllow }) => isAllow)) {
    const { actions, resources, conditions } = statement
    const named = resources.isBut ? ['*'] : [...new Set(resources.of)].slice(0, PATTERNS_MAX)
    const hash = sha256(JSON.stringify(statement)).toString('hex').slice(0, HASH_CHARACTERS)
    for (const pattern of named) {
      if (!patterns.has(pattern)) {
        patterns.add(pattern)
        told.set(`on ${pattern}`, resource({ id: patternId(pattern), type: 'aws-resource', name: pattern }))
      }
      const id = `${of}\n${hash}\n${pattern}`
      const right = grant({
        id: { kind, id },
        principal: holder,
        on: patternId(pattern),
        privilege: wordsOf(actions),
        level: levelOf(statement, pattern),
        grantable: known(false),
        facts: {
          isConditional: conditions.length > 0,
          isWildcard: conditions.length === 0 && isWildcard(statement, pattern),
          ...(conditions.length > 0 && { conditions: conditions.map(({ operator, key }) => `${operator} ${key}`) }),
          ...(resources.isBut && { butNot: [...resources.of] }),
        },
      })
      told.set(id, right)
    }
  }
  return [...told.values()]
}

const patternId = (pattern: string): NativeId => ({ kind: 'resource', id: pattern === '' ? '*' : pattern })

function wordsOf({ of, isBut }: Statement['actions']): string {
  // IAM reads `*` and `*:*` as the same.
  const words = [...new Set(of)].map((action) => (action === '*:*' ? '*' : action)).sort()
  return isBut ? `* but ${words.join(', ')}` : words.join(', ')
}

const READS =
  /^[\w-]+:(?:get|list|describe|batchget|head|view|lookup|search|query|scan|select|read|check|simulate|generate\w*report)/

const isEverything = ({ actions }: Statement) =>
  !actions.isBut && actions.of.some((action) => action === '*' || action === '*:*')

/** All that there is, or all that one service does, on everything. */
function isWildcard(statement: Statement, pattern: string): boolean {
  if (pattern !== '*') return false
  return statement.actions.isBut || statement.actions.of.some((action) => action === '*' || /^[\w*-]+:\*$/.test(action))
}

function levelOf(statement: Statement, pattern: string): 'admin' | 'grant' | 'write' | 'read' {
  const { actions } = statement
  if (isEverything(statement)) return pattern === '*' ? 'admin' : 'write'
  if (actions.isBut) return 'write'
  if (
    actions.of.some(
      (action) => /^(?:iam|organizations):/.test(action) && !READS.test(action) && action !== 'iam:passrole',
    )
  )
    return 'grant'
  return actions.of.every((action) => READS.test(action)) ? 'read' : 'write'
}
