import { z } from 'zod'
import {
  known,
  unknown,
  type Connector,
  type NativeId,
  type Observation,
  type OpenSource,
  type Page,
} from '../../src/connectors/connector.ts'

export type Size = { readonly identities: number; readonly grants: number; readonly references: number }

/** Short-lived instances of one definition, each seen once for five seconds. */
export const INSTANCES = 10_000
const PAGE = 2_000
/** The estate is told in so many parts. */
const PARTS = 10
const DAY_MS = 86_400_000
const EPOCH_MS = Date.UTC(2024, 0, 1)
const NOT_KEPT = unknown('unsupported')
const DEFINITION: NativeId = { kind: 'job', id: 'runner' }

/**
 * A source in memory with an estate of that size, told page by page, the same for the same seed. With `changed` one thing in a hundred is told
 * differently.
 */
export function estateSource(size: Size, seed: string, changed: number): Connector {
  return {
    manifest: {
      id: 'estate',
      version: '1',
      source: 'an estate from a generator',
      observes: ['principal', 'credential', 'grant', 'reference', 'usage'],
      reads: [{ scope: '*', gives: 'everything', permission: 'none', isOptional: false }],
      writes: [],
      blindSpots: ['it is generated'],
      metadataHandling: 'names only',
      risks: ['NHI1:2025'],
    },
    settings: z.strictObject({}),
    credential: undefined,
    address: () => 'estate://here',
    open: async () => openEstate(size, seed, changed),
  }
}

/** Tells everything to nobody: what making it costs. */
export async function tellEstate(size: Size, seed: string): Promise<void> {
  const { signal } = new AbortController()
  await using source = openEstate(size, seed, 0)
  for await (const { scope } of source.scopes(signal)) {
    for await (const page of source.read(scope, {}, signal)) void page
  }
}

function openEstate(size: Size, seed: string, changed: number): OpenSource {
  const kinds: Readonly<Record<string, Told>> = {
    principals: { count: size.identities, make: (at) => principal(at, seed, changed) },
    credentials: { count: size.references, make: (at) => credential(at, size.identities) },
    grants: { count: size.grants, make: (at) => grant(at, size.identities) },
    references: { count: size.references, make: (at) => reference(at, size) },
  }
  const scopes = Object.keys(kinds).flatMap((kind) => Array.from({ length: PARTS }, (_, part) => `${kind}/${part}`))
  return {
    probe: async () => ({ authority: `estate:${seed}`, system: 'Estate 1', scopes: [] }),
    async *scopes() {
      for (const scope of scopes) yield { scope, isFeed: false }
      yield { scope: 'instances', isFeed: true }
      return { isAll: true, missing: [] }
    },
    async *read(scope, since) {
      const [kind = '', part] = scope.split('/')
      const pages = kind === 'instances' ? instancePages() : pagesOf(kinds[kind], Number(part))
      let page = 0
      for (const observations of pages) {
        page += 1
        if (since.cursor !== undefined && page <= Number(since.cursor)) continue
        yield { observations, cursor: String(page) }
      }
      return { status: 'complete', missing: [] }
    },
    async [Symbol.asyncDispose]() {},
  }
}

type Told = { readonly count: number; readonly make: (at: number) => Observation }

function* pagesOf(told: Told | undefined, part: number): Generator<Page['observations']> {
  if (!told) throw new Error('there is no such part')
  const [from, to] = [part, part + 1].map((edge) => Math.floor((told.count * edge) / PARTS))
  for (let at = from ?? 0; at < (to ?? 0); at += PAGE) {
    yield Array.from({ length: Math.min(PAGE, (to ?? 0) - at) }, (_, in_) => told.make(at + in_))
  }
}

/** A feed: what is behind its cursor is not told again. */
function* instancePages(): Generator<Page['observations']> {
  const definition: Observation = {
    ...principal(0, 'runner', 0),
    id: DEFINITION,
    name: 'runner',
  }
  yield [definition]
  for (let at = 0; at < INSTANCES; at += 100) {
    yield Array.from({ length: 100 }, (_, in_) => ({
      kind: 'usage' as const,
      subject: DEFINITION,
      semantics: 'session' as const,
      at: new Date(EPOCH_MS + (at + in_) * 5_000),
      count: 1,
      instances: 1,
      from: { agent: 'runner' },
      actor: NOT_KEPT,
    }))
  }
}

const account = (at: number): NativeId => ({ kind: 'account', id: String(at) })
const secret = (at: number): NativeId => ({ kind: 'secret', id: String(at) })

function principal(at: number, seed: string, changed: number): Observation & { kind: 'principal' } {
  const isOther = changed > 0 && at % 100 === 0
  return {
    kind: 'principal',
    id: account(at),
    type: at % 20 === 0 ? 'role' : 'account',
    name: `app-${seed}-${at}${isOther ? '-renamed' : ''}`,
    aliases: [],
    state: known('active'),
    createdAt: known(new Date(EPOCH_MS + (at % 700) * DAY_MS)),
    createdBy: NOT_KEPT,
    interactive: known(at % 50 === 0),
    environment: NOT_KEPT,
    tags: { team: `team-${at % 200}` },
    facts: { canLogIn: at % 20 !== 0 },
  }
}

function credential(at: number, identities: number): Observation {
  return {
    kind: 'credential',
    id: secret(at),
    principal: known(account(at % identities)),
    type: 'password',
    name: `password of ${at}`,
    state: known('active'),
    createdAt: known(new Date(EPOCH_MS + (at % 700) * DAY_MS)),
    rotatedAt: NOT_KEPT,
    // Most end in time, so that what is found is a share and not all.
    expiresAt: at % 20 === 0 ? known('never') : known(new Date(Date.UTC(2027, 0, 1 + (at % 120)))),
    fingerprints: NOT_KEPT,
    scopes: NOT_KEPT,
    bindings: known([]),
    strength: known(at % 500 === 0 ? 'weak' : 'strong'),
    strengthWhy: at % 500 === 0 ? ['md5'] : [],
    heldBy: known('source'),
    facts: {},
  }
}

function grant(at: number, identities: number): Observation {
  return {
    kind: 'grant',
    id: { kind: 'grant', id: String(at) },
    principal: account(at % identities),
    on: at % 3 === 0 ? account((at % (identities / 20)) * 20) : { kind: 'table', id: String(at % 5_000) },
    privilege: at % 3 === 0 ? 'MEMBER' : 'SELECT',
    level: at % 3 === 0 ? 'use' : 'read',
    via: [],
    grantable: known(false),
    grantedBy: NOT_KEPT,
    expiresAt: known('never'),
    facts: {},
  }
}

function reference(at: number, { references }: Size): Observation {
  return {
    kind: 'reference',
    id: { kind: 'mount', id: String(at) },
    consumer: account(at % 1_000),
    credential: secret(at % references),
    how: 'env',
    location: `jobs/${at % 10_000}/env/${at}`,
    evidence: 'static',
    facts: {},
  }
}
