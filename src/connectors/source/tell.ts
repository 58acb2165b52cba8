import { Instant } from '../../kernel/instant.ts'
import type { Finding } from '../../scanner/contract.ts'
import { known, unknown, type NativeId, type Observation, type Page } from '../connector.ts'
import type { Gathered, Place } from './gather.ts'
import type { Scope } from './settings.ts'

const PAGE_OBSERVATIONS = 1_000
const TYPES = { repository: 'repository', folder: 'folder', image: 'container-image', logs: 'pipeline-logs' } as const
const FILES = { repository: 'source-file', folder: 'source-file', image: 'image-file', logs: 'log-file' } as const

/** What was gathered, in an order that the next reading has as well: the place as a whole, files with secrets, secrets, and where each stands. */
export function* tellGathered(scope: Scope, name: string, { places }: Gathered): Generator<Page, void> {
  let page: Observation[] = []
  for (const each of observations(scope, name, [...places.values()].toSorted(byPath))) {
    page.push(each)
    if (page.length < PAGE_OBSERVATIONS) continue
    yield { observations: page }
    page = []
  }
  if (page.length > 0) yield { observations: page }
}

function byPath(a: Place, b: Place): number {
  if (a.path !== b.path) return a.path < b.path ? -1 : 1
  return a.value < b.value ? -1 : 1
}

function* observations(scope: Scope, name: string, places: readonly Place[]): Generator<Observation> {
  const root: NativeId = { kind: 'source-place', id: scope }
  yield resource(root, TYPES[scope], name)
  const bySecret = new Map<string, Place[]>()
  let last: string | undefined
  for (const place of places) {
    if (place.path !== last) yield resource(fileId(scope, place.path), FILES[scope], place.path, root)
    last = place.path
    const others = bySecret.get(place.value)
    if (others) others.push(place)
    else bySecret.set(place.value, [place])
  }
  for (const [value, all] of bySecret) {
    const id: NativeId = { kind: 'hard-coded-secret', id: `${scope}#${value}` }
    yield credential(id, all)
    for (const place of all) yield reference(scope, id, place)
  }
}

function fileId(scope: Scope, path: string): NativeId {
  return { kind: 'source-file', id: `${scope}:${path}` }
}

function resource(id: NativeId, type: string, name: string, parent?: NativeId): Observation {
  const [environment, sensitivity] = [unknown('unsupported'), unknown('unsupported')]
  return { kind: 'resource', id, type, name, environment, sensitivity, ...(parent && { parent }) }
}

function credential(id: NativeId, places: readonly Place[]): Observation {
  const [first] = places.toSorted(byCommit)
  if (!first) throw new Error('a secret stands somewhere')
  const { finding, marks } = first
  const mark = finding.fingerprint
  return {
    kind: 'credential',
    id,
    principal: unknown('unsupported'),
    type: typeOf(finding.rule),
    name: `${finding.what} in ${first.path}`,
    state: finding.validity === 'expired' ? known('expired') : unknown('not-collected'),
    createdAt: unknown('unsupported'),
    rotatedAt: unknown('unsupported'),
    expiresAt: unknown('unsupported'),
    fingerprints: mark ? known([{ alg: mark.alg, keyId: mark.keyId, value: mark.value }, ...marks]) : unknown('failed'),
    scopes: unknown('unsupported'),
    bindings: unknown('unsupported'),
    strength: unknown('unsupported'),
    heldBy: known('source'),
    facts: {
      rule: finding.rule,
      issuer: finding.issuer,
      confidence: finding.confidence,
      validity: finding.validity,
      places: places.length,
      isInNewest: places.some(({ isInNewest }) => isInNewest),
      ...whenceOf(finding),
    },
  }
}

/** The one that was there first; without a history the first path. */
function byCommit(a: Place, b: Place): number {
  const [x, y] = [a.finding.committedAt, b.finding.committedAt]
  if (x === null || y === null || x === y) return byPath(a, b)
  return Instant.parse(x).getTime() - Instant.parse(y).getTime() || byPath(a, b)
}

function whenceOf({ commit, author, committedAt }: Finding) {
  return commit === null ? {} : { firstCommit: commit, firstSeenBy: author, firstSeenAt: committedAt }
}

function reference(scope: Scope, credentialId: NativeId, place: Place): Observation {
  const { finding, path, value, lines } = place
  const sorted = lines.toSorted((a, b) => a - b)
  return {
    kind: 'reference',
    id: { kind: 'hard-coded-place', id: `${scope}:${path}#${value}` },
    consumer: fileId(scope, path),
    credential: credentialId,
    how: scope === 'repository' || scope === 'folder' ? 'code' : 'file',
    location: path,
    evidence: scope === 'logs' ? 'runtime' : 'static',
    facts: {
      lines: sorted.map(String),
      decodedBy: finding.decodedBy,
      isInNewest: place.isInNewest,
      ...whenceOf(finding),
      ...place.facts,
    },
  }
}

/** By the id of the scanner's rule; what says nothing of its kind is `other`. */
function typeOf(rule: string) {
  if (/openssh|ssh-/.test(rule)) return 'ssh-key'
  if (rule.includes('private-key')) return 'key-pair'
  if (rule.includes('webhook')) return 'webhook-secret'
  if (rule.includes('client-secret')) return 'client-secret'
  if (/password|-url$/.test(rule)) return 'password'
  if (/token|jwt/.test(rule)) return 'token'
  return /key/.test(rule) ? 'api-key' : 'other'
}
