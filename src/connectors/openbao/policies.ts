import { z } from 'zod'
import {
  Holes,
  grant,
  known,
  principal,
  resource,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { list, read, type Bao } from './api.ts'
import { readPolicy, type Rule } from './hcl.ts'
import { tellEach } from './walk.ts'

const LIST = 'sys/policies/acl'
const Policy = z.object({ policy: z.string() })

/** A policy has no id but its name. */
export const policyOf = (name: string): NativeId => ({ kind: 'policy', id: name })
const pathId = (path: string): NativeId => ({ kind: 'path', id: path })

/** A right to a policy is a right to all it says. */
export function holdsPolicy(holder: NativeId, name: string): Observation {
  return grant({
    id: { kind: 'holds-policy', id: `${holder.kind}/${holder.id}/${name}` },
    principal: holder,
    on: policyOf(name),
    privilege: 'POLICY',
    level: 'use',
  })
}

/** Policies, and what each lets its holders do to which paths. */
export async function* readPolicies(bao: Bao, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const paths = new Set<string>()
  const items = (await list(bao, LIST, signal)).map((name) => ({
    key: name,
    tell: async () => {
      if (name === 'root') return tellPolicy(name, [{ path: '*', capabilities: ['root'], isConditional: false }], paths)
      const found = await read(bao, `${LIST}/${name}`, Policy, signal)
      if (!found) return []
      const rules = readPolicy(found.policy)
      if (!rules) holes.add({ what: `the policy ${name}`, why: 'it is written in a way that is not understood' })
      return tellPolicy(name, rules, paths)
    },
  }))
  // Paths are told once in a reading, so one that was cut begins again.
  return yield* tellEach(bao, { items, holes }, { ...since, cursor: undefined }, signal)
}

function tellPolicy(name: string, rules: readonly Rule[] | undefined, paths: Set<string>): Observation[] {
  const id = policyOf(name)
  const all = rules ?? []
  const denied = all.filter(({ capabilities }) => capabilities.includes('deny')).map(({ path }) => path)
  const told: Observation[] = [
    principal({
      id,
      type: 'role',
      name,
      state: known('active'),
      interactive: known(false),
      facts: { isRead: rules !== undefined, denies: denied },
    }),
  ]
  const merged = new Map<string, Rule>()
  for (const rule of all) {
    const before = merged.get(rule.path)
    if (rule.capabilities.includes('deny') || rule.capabilities.length === 0) continue
    const capabilities = [...new Set([...(before?.capabilities ?? []), ...rule.capabilities])].sort()
    merged.set(rule.path, {
      ...rule,
      capabilities,
      isConditional: rule.isConditional && (before?.isConditional ?? true),
    })
  }
  for (const { path, capabilities, isConditional } of merged.values()) {
    if (!paths.has(path)) {
      paths.add(path)
      told.push(resource({ id: pathId(path), type: 'path', name: path, sensitivity: known(tierOf(path)) }))
    }
    told.push(
      grant({
        id: { kind: 'policy-path', id: `${name}\n${path}` },
        principal: id,
        on: pathId(path),
        privilege: capabilities.join(', '),
        level: levelOf(path, capabilities),
        facts: { isConditional },
      }),
    )
  }
  return told
}

/** Prefixes below which everybody's rights are decided: whoever writes there may do everything in the end. */
const DECIDING = [
  'sys/policy',
  'sys/policies',
  'sys/auth',
  'identity',
  'sys/raw',
  'sys/generate-root',
  'sys/rotate',
  'sys/seal',
]
const ROLES =
  /^auth\/(?!token\/(?:lookup|renew|revoke)(?:-self)?$)[^/]+\/(?:role|roles|users|groups|certs|config|map|create|create-orphan)\b/
const WRITES = ['create', 'update', 'delete', 'patch', 'root']

function reachesDeciding(path: string): boolean {
  const before = path.replace(/[*+].*$/, '')
  const isOpen = before !== path
  return (
    ROLES.test(path) ||
    DECIDING.some((prefix) => before.startsWith(prefix) || (isOpen && prefix.startsWith(before))) ||
    (isOpen && 'auth/'.startsWith(before))
  )
}

function tierOf(path: string): number {
  return reachesDeciding(path) ? 0 : 1
}

/** As in `Grant.level`: everything everywhere, what decides over rights, what changes, what reads. */
function levelOf(path: string, capabilities: readonly string[]): 'admin' | 'grant' | 'write' | 'read' {
  const writes = capabilities.some((each) => WRITES.includes(each))
  if (capabilities.includes('root') || (path === '*' && writes)) return 'admin'
  if (writes && reachesDeciding(path)) return 'grant'
  return writes ? 'write' : 'read'
}
