import { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import {
  jsonOf,
  loginOf,
  sourceOfParts,
  Unreadable,
  type Connector,
  type Manifest,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { caOf, headersOf, missingOf, type Bao } from './api.ts'
import { AUDIT_MISSING, readAudit } from './audit.ts'
import { readIdentity } from './identity.ts'
import { readMounts } from './mounts.ts'
import { readPolicies } from './policies.ts'
import { readRoles, readSecretIds } from './roles.ts'
import { readSecrets } from './secrets.ts'
import { OpenBaoSourceCredential, OpenBaoSourceSettings } from './settings.ts'
import { ACCESSORS, LEASES, readLeases, readTokens } from './tokens.ts'

type Part = {
  readonly gives: string
  /** Paths with the capabilities that are asked of them before; those of single things tell in reading. */
  readonly paths: Readonly<Record<string, string>>
  readonly also: string
  readonly isFeed?: boolean
  readonly read: (bao: Bao, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
}

const PARTS: Readonly<Record<string, Part>> = {
  mounts: {
    gives: 'secret engines and auth methods',
    paths: { 'sys/mounts': 'read', 'sys/auth': 'read' },
    also: '',
    read: (bao, _since, signal) => readMounts(bao, signal),
  },
  policies: {
    gives: 'policies, and what each lets do to which paths',
    paths: { 'sys/policies/acl': 'list' },
    also: 'read on sys/policies/acl/*',
    read: readPolicies,
  },
  identity: {
    gives: 'entities with the logins that lead to them, groups, members, policies of both',
    paths: { 'identity/entity/id': 'list', 'identity/group/id': 'list' },
    also: 'read on identity/entity/id/* and identity/group/id/*',
    read: readIdentity,
  },
  'auth-roles': {
    gives: 'whom auth methods let in, on what terms, with which policies',
    paths: { 'sys/auth': 'read' },
    also: 'list and read on auth/+/role, roles, users, groups, certs, read on auth/+/config',
    read: readRoles,
  },
  'secret-ids': {
    gives: 'secret ids of AppRoles by accessor: age, end, addresses',
    paths: { 'sys/auth': 'read' },
    also: 'list on auth/+/role and auth/+/role/+/secret-id, update on auth/+/role/+/secret-id-accessor/lookup',
    read: readSecretIds,
  },
  tokens: {
    gives: 'tokens that live, by accessor: whose, policies, end, orphans, root tokens',
    paths: { [ACCESSORS]: 'list, sudo', 'auth/token/lookup-accessor': 'update' },
    also: '',
    read: readTokens,
  },
  leases: {
    gives: 'leases of dynamic secrets: which path gave them, until when',
    paths: { [LEASES]: 'list, sudo' },
    also: 'list, sudo on sys/leases/lookup/*, update on sys/leases/lookup',
    read: readLeases,
  },
  secrets: {
    gives: 'secrets of key-value engines by name, age and custom metadata',
    paths: { 'sys/mounts': 'read' },
    also: 'list and read on <mount>/metadata/*, or list on <mount>/* of an engine of version 1',
    read: readSecrets,
  },
  audit: {
    gives: 'uses by entity and day with the window they cover, who read which secret',
    paths: {},
    also: AUDIT_MISSING.permission ?? '',
    isFeed: true,
    read: readAudit,
  },
}

const manifest: Manifest = {
  id: 'openbao',
  version: '1',
  source: 'OpenBao and Vault, by their API',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'reference', 'usage', 'usage-window'],
  reads: Object.entries(PARTS).map(([scope, { gives, paths, also }]) => ({
    scope,
    gives,
    permission: [...Object.entries(paths).map(([path, capability]) => `${capability} on ${path}`), also]
      .filter((each) => each !== '')
      .join(', '),
    isOptional: true,
  })),
  writes: [],
  blindSpots: [
    'values of secrets: no path that gives one is asked, so the same value elsewhere is not recognised',
    'batch tokens: they have no accessor and stand in no list',
    'which secret id or token a use came by: the audit log has accessors hashed with a salt of its own',
    'namespaces other than the one that was named',
    'policies given by plugins or by templates on metadata: the template is told as it is written',
    'leases that cannot be revoked any more are told like the others',
    'what was asked of the server before the audit device was switched on, and between two files',
  ],
  metadataHandling:
    'Names, ids, accessors, paths, policies as paths with capabilities, metadata of entities, custom metadata of secrets, times. No token, no secret id, no role id, no value of a secret, no body of a request.',
  risks: ['NHI1:2025', 'NHI2:2025', 'NHI4:2025', 'NHI5:2025', 'NHI7:2025', 'NHI9:2025'],
}

/** Reads who may have which secret from an OpenBao or Vault, and who had it. */
export const openbaoConnector: Connector = {
  manifest,
  settings: OpenBaoSourceSettings,
  credential: OpenBaoSourceCredential,
  address: (settings) => OpenBaoSourceSettings.parse(settings).url,
  async open(given): Promise<OpenSource> {
    const settings = OpenBaoSourceSettings.parse(given.settings)
    const { token } = loginOf(given, OpenBaoSourceCredential, 'token to log in with')
    const bao: Bao = { http: given.http, token: new Secret(token), settings }
    return sourceOfParts(PARTS, {
      probe: (signal) => probe(bao, signal),
      read: (part, since, signal) => part.read(bao, since, signal),
    })
  },
}

const Health = z.object({ cluster_id: z.string().min(1).max(200), version: z.string().max(100).optional() })

/** A server is known by the id of its cluster, which is made when it is initialised. */
async function probe(bao: Bao, signal: AbortSignal) {
  const answer = await bao.http(
    {
      path: '/v1/sys/health?standbyok=true&perfstandbyok=true',
      headers: headersOf({ ...bao, settings: { ...bao.settings, namespace: undefined } }),
      ...caOf(bao),
    },
    signal,
  )
  const health = Health.safeParse(answer.body.length === 0 ? undefined : jsonOf(answer.body)).data
  if (answer.status !== 200 || !health) throw new Unreadable('this is no OpenBao that is unsealed')
  const paths = [...new Set(Object.values(PARTS).flatMap((part) => Object.keys(part.paths)))]
  const held = await capabilitiesOf(bao, paths, signal)
  const probed = Object.entries(PARTS).map(([scope, part]): ProbedScope => {
    const missing = Object.entries(part.paths).flatMap(([path, capability]) =>
      has(held?.get(path), capability) ? [] : [missingOf(path, capability)],
    )
    if (scope === 'audit' && bao.settings.auditLog === undefined) missing.push(AUDIT_MISSING)
    return { scope, isVisible: missing.length === 0, missing }
  })
  const namespace = bao.settings.namespace?.replace(/\/$/, '') ?? ''
  return {
    authority: `openbao:${health.cluster_id}${namespace === '' ? '' : `/${namespace}`}`,
    system: `OpenBao or Vault ${health.version ?? ''}`.trim(),
    scopes: probed,
  }
}

function has(held: readonly string[] | undefined, wanted: string): boolean {
  return held === undefined || held.includes('root') || wanted.split(', ').every((each) => held.includes(each))
}

const Capabilities = z.object({ data: z.record(z.string(), z.unknown()) })

/** What the token may, by the server's own word; undefined where it may not even ask that, and reading will tell. */
async function capabilitiesOf(bao: Bao, paths: readonly string[], signal: AbortSignal) {
  const answer = await bao.http(
    {
      path: '/v1/sys/capabilities-self',
      method: 'POST',
      body: JSON.stringify({ paths }),
      headers: headersOf(bao),
      ...caOf(bao),
    },
    signal,
  )
  if (answer.status !== 200) return undefined
  const told = Capabilities.safeParse(jsonOf(answer.body)).data?.data ?? {}
  return new Map(paths.map((path) => [path, z.array(z.string()).catch([]).parse(told[path])]))
}
