import { z } from 'zod'
import { instantAt } from '../../kernel/instant.ts'
import {
  Holes,
  credential,
  known,
  unknown,
  type Missing,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { endOf, list, lookUp, whenOf, type Bao } from './api.ts'
import { entityOf } from './identity.ts'
import { policyOf } from './policies.ts'
import { orMissing, tellEach } from './walk.ts'

export const ACCESSORS = 'auth/token/accessors'
export const LEASES = 'sys/leases/lookup'

const Token = z.object({
  display_name: z.string().nullish(),
  entity_id: z.string().nullish(),
  creation_time: z.number(),
  expire_time: z.string().nullish(),
  explicit_max_ttl: z.number().nullish(),
  period: z.union([z.number(), z.string()]).nullish(),
  orphan: z.boolean().nullish(),
  path: z.string().nullish(),
  policies: z.array(z.string()).nullable(),
  identity_policies: z.array(z.string()).nullish(),
  type: z.string().nullish(),
  bound_cidrs: z.array(z.string()).nullish(),
})

/** Tokens that live, by accessor: whose, with which policies, until when. */
export async function* readTokens(bao: Bao, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const items = (await list(bao, ACCESSORS, signal, 'list, sudo')).map((accessor) => ({
    key: accessor,
    tell: async () => {
      const asked = { path: 'auth/token/lookup-accessor', body: { accessor }, shape: Token }
      const found = await lookUp(bao, asked, signal)
      return found ? [tellToken(accessor, found)] : []
    },
  }))
  return yield* tellEach(bao, { items }, since, signal)
}

function tellToken(accessor: string, token: z.output<typeof Token>): Observation {
  const policies = [...new Set([...(token.policies ?? []), ...(token.identity_policies ?? [])])].sort()
  const isRoot = policies.includes('root')
  const end = endOf(token.expire_time)
  const made = instantAt(token.creation_time * 1000)
  const why = [
    ...(isRoot ? ['it is a root token'] : []),
    ...(end.known && end.value === 'never' ? ['it never expires'] : []),
  ]
  return credential({
    id: { kind: 'token-accessor', id: accessor },
    principal:
      typeof token.entity_id === 'string' && token.entity_id !== ''
        ? known(entityOf(token.entity_id))
        : isRoot
          ? known(policyOf('root'))
          : unknown('unsupported'),
    type: 'token',
    name: token.display_name ?? 'token',
    createdAt: made ? known(made) : unknown('failed'),
    expiresAt: end,
    scopes: known(policies),
    bindings: known((token.bound_cidrs ?? []).length > 0 ? ['ip'] : []),
    strength: why.length > 0 ? known('weak') : unknown('unsupported'),
    strengthWhy: why,
    heldBy: known('unknown-holder'),
    facts: {
      isOrphan: token.orphan ?? null,
      isRenewable: token.period !== undefined && token.period !== null && token.period !== 0,
      madeAt: token.path ?? null,
      tokenType: token.type ?? null,
      maxTtlSeconds: token.explicit_max_ttl ?? null,
    },
  })
}

const Lease = z.object({
  issue_time: z.string().nullish(),
  expire_time: z.string().nullish(),
  renewable: z.boolean().nullish(),
})
/** Folders within folders, and folders in all: a list that goes deeper or on for ever is no server's. */
const DEPTH_MAX = 32
const FOLDERS_MAX = 100_000

/** Leases of dynamic secrets: which path gave them, until when. Those of tokens are the tokens' own. */
export async function* readLeases(bao: Bao, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const ids = await leavesOf(
    bao,
    { root: LEASES, capability: 'list, sudo', skip: (path) => path.startsWith('auth/') },
    holes,
    signal,
  )
  const items = ids.map((id) => ({
    key: id,
    tell: async () => {
      const found = await lookUp(bao, { path: 'sys/leases/lookup', body: { lease_id: id }, shape: Lease }, signal)
      return found ? [tellLease(id, found)] : []
    },
  }))
  return yield* tellEach(bao, { items, holes }, since, signal)
}

function tellLease(id: string, lease: z.output<typeof Lease>): Observation {
  const path = id.slice(0, id.lastIndexOf('/'))
  return credential({
    id: { kind: 'lease', id },
    type: 'other',
    name: path,
    createdAt: whenOf(lease.issue_time),
    expiresAt: endOf(lease.expire_time),
    heldBy: known('unknown-holder'),
    facts: { path, isRenewable: lease.renewable ?? null },
  })
}

type Tree = { readonly root: string; readonly capability: string; readonly skip?: (path: string) => boolean }

/** Names at the ends of a tree of lists, as paths from its root. What may not be listed is a hole; the root itself denies all. */
export async function leavesOf(
  bao: Bao,
  { root, capability, skip = () => false }: Tree,
  holes: Holes,
  signal: AbortSignal,
): Promise<string[]> {
  const leaves: string[] = []
  const folders = ['']
  for (let seen = 0; folders.length > 0; seen += 1) {
    const folder = folders.pop() ?? ''
    const look = () => list(bao, `${root}${folder === '' ? '' : `/${folder.replace(/\/$/, '')}`}`, signal, capability)
    const names = folder === '' ? await look() : await orMissing(bao, look, holes, signal)
    const tooMuch: Missing = { what: `what is below ${root}`, why: 'it is deeper or wider than any server has it' }
    for (const name of names) {
      const path = `${folder}${name}`
      if (skip(path) || name === '' || name === '/') continue
      if (!name.endsWith('/')) leaves.push(path)
      else if (path.split('/').length > DEPTH_MAX || seen + folders.length > FOLDERS_MAX) {
        holes.add(tooMuch)
        break
      } else folders.push(path)
    }
  }
  return leaves
}
