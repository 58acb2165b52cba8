import { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  Faltering,
  scimTold,
  sourceOfParts,
  Unreadable,
  type Connector,
  type Given,
  type Manifest,
  type Missing,
  type Observation,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
  type SourceHttp,
} from '../connector.ts'
import { ScimSourceCredential, ScimSourceSettings } from './settings.ts'

/** Asked for at once; a server gives what it likes. */
const COUNT = 200
const PAGE_BYTES = 32 * 1024 * 1024
/** Ids are held, to know whether all of the server's own total was seen. */
const THINGS_MAX = 1_000_000
const PAGE_OBSERVATIONS = 2_000

const PARTS = {
  users: { path: '/Users', gives: 'users: name, state, addresses, age' },
  groups: { path: '/Groups', gives: 'groups, and who is in them' },
} as const
type Part = (typeof PARTS)[keyof typeof PARTS]

const permissionOf = ({ path }: Part) => `GET ${path} of the server`

const manifest: Manifest = {
  id: 'scim',
  version: '1',
  source: 'A server of SCIM 2.0 (RFC 7644)',
  observes: ['principal', 'grant'],
  reads: Object.entries(PARTS).map(([scope, part]) => ({
    scope,
    gives: part.gives,
    permission: permissionOf(part),
    isOptional: scope !== 'users',
  })),
  writes: [],
  blindSpots: [
    'whether a user is a person or a program: SCIM does not say',
    'rights: a group says who is in it and not what for',
    'members that a server leaves out of its list of groups',
    'extensions: agents, entitlements and attributes of vendors',
    'credentials, logins and uses',
  ],
  metadataHandling:
    'Ids, names, e-mail addresses, state, type, creation, external id, names of groups and members. No other attribute; a password that a server should not give is not read.',
  risks: ['NHI1:2025', 'NHI5:2025'],
}

type Scim = {
  readonly http: SourceHttp
  readonly settings: ScimSourceSettings
  readonly authorization: Secret
}

/** Reads who is in a directory that speaks SCIM, page by page, and says when the pages were not all there is. */
export const scimConnector: Connector = {
  manifest,
  settings: ScimSourceSettings,
  credential: ScimSourceCredential,
  address: (settings) => ScimSourceSettings.parse(settings).url,
  async open(given): Promise<OpenSource> {
    const scim = scimOf(given)
    return sourceOfParts(PARTS, {
      probe: (signal) => probe(scim, signal),
      read: (part: Part, _since, signal) => read(scim, part, signal),
    })
  },
}

function scimOf({ http, settings, credential }: Given): Scim {
  if (!credential) throw new Unreadable('there is nothing to log in with')
  const login = ScimSourceCredential.parse(JSON.parse(credential.reveal()))
  const value =
    'token' in login
      ? `Bearer ${login.token}`
      : `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}`
  return { http, settings: ScimSourceSettings.parse(settings), authorization: new Secret(value) }
}

/** SCIM has no id of a server: it is known by its base. */
async function probe(scim: Scim, signal: AbortSignal) {
  const scopes: ProbedScope[] = []
  for (const [scope, part] of Object.entries(PARTS)) {
    const { status } = await ask(scim, `${part.path}?startIndex=1&count=1`, signal)
    const missing = status === 200 ? [] : [missingOf(part, status)]
    scopes.push({ scope, isVisible: status === 200, missing })
  }
  return { authority: `scim:${scim.settings.url.replace(/\/$/, '')}`, system: 'a server of SCIM 2.0', scopes }
}

// RFC 7644 §3.4.2: a server may leave out what is empty.
const ListResponse = z.object({
  totalResults: z.int().min(0),
  Resources: z.array(z.unknown()).optional(),
})
const Named = z.object({ id: z.string().min(1) })

async function* read(scim: Scim, part: Part, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const seen = new Set<string>()
  let [odd, total, at, told]: [number, number, number, Observation[]] = [0, 0, 1, []]
  for (;;) {
    signal.throwIfAborted()
    const { status, body } = await ask(scim, `${part.path}?startIndex=${at}&count=${COUNT}`, signal)
    if (status === 404) return { status: 'unsupported', missing: [missingOf(part, status)] }
    if (status === 401 || status === 403) throw new Denied(missingOf(part, status))
    if (status !== 200) throw new Faltering(`the server answered ${status}`)
    const { data } = ListResponse.safeParse(jsonOf(body))
    if (!data) throw new Unreadable('the answer is no list of SCIM')
    const all = data.Resources ?? []
    const before = seen.size
    for (const one of all) {
      const id = Named.safeParse(one).data?.id
      if (id !== undefined && seen.has(id)) continue
      const observations = scimTold(one)
      if (id !== undefined) seen.add(id)
      if (!observations) odd += 1
      for (const each of observations ?? []) {
        if (told.length === PAGE_OBSERVATIONS) {
          yield { observations: told }
          told = []
        }
        told.push(each)
      }
    }
    total = data.totalResults
    at += all.length
    if (all.length === 0 || at > total) break
    if (seen.size === before) throw new Unreadable('the pages of the server run in a circle')
    if (seen.size > THINGS_MAX) throw new Unreadable(`it has more than ${THINGS_MAX} things`)
  }
  if (told.length > 0) yield { observations: told }
  const missing = holesOf({ odd, short: total - seen.size })
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

/** Pages are told by number, so what came or went meanwhile shifts them: only all of the total is all. */
function holesOf({ odd, short }: { readonly odd: number; readonly short: number }): Missing[] {
  return [
    ...(odd > 0
      ? [{ what: `${odd} of the list`, why: 'they are neither a user nor a group as RFC 7643 has them' }]
      : []),
    ...(short > 0
      ? [{ what: `${short} of the list`, why: 'the pages had fewer than the total that the server told' }]
      : []),
  ]
}

function ask({ http, settings, authorization }: Scim, path: string, signal: AbortSignal) {
  const { pathname } = new URL(settings.url)
  return http(
    {
      path: `${pathname.replace(/\/$/, '')}${path}`,
      headers: { authorization, accept: 'application/scim+json, application/json' },
      maxBytes: PAGE_BYTES,
      ...(settings.authorities !== undefined && { ca: settings.authorities }),
    },
    signal,
  )
}

function missingOf(part: Part, status: number): Missing {
  if (status === 404) return { what: part.gives, why: 'the server has none' }
  const why = status === 401 || status === 403 ? 'the login may not read it' : `the server answered ${status}`
  return { what: part.gives, why, permission: permissionOf(part) }
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
