import { z } from 'zod'
import {
  Denied,
  Unreadable,
  type Connector,
  type Given,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeRef,
  type ScopeReport,
  type ScopesReport,
  type Since,
} from '../connector.ts'
import { readAccounts, readApiKeys, readKeys } from './accounts.ts'
import { activityAsked, NO_ACTIVITY, readActivity } from './activity.ts'
import { pages, type Api } from './api.ts'
import { assetPages, type Content, type Gcp } from './assets.ts'
import { readFederation } from './federation.ts'
import { readHierarchy } from './hierarchy.ts'
import { readPolicies } from './policies.ts'
import { GcpLogin, GcpSourceCredential, GcpSourceSettings } from './settings.ts'

type Part = {
  readonly gives: string
  readonly permission: string
  /** What it takes: kinds of content, or another API. */
  readonly takes: readonly (Content | 'activity')[]
  readonly read: (gcp: Gcp, since: Since, given: Given, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
}

const RESOURCES = 'cloudasset.assets.listResource'

const PARTS: Readonly<Record<string, Part>> = {
  hierarchy: {
    gives: 'the organization, folders and projects, with their labels',
    permission: RESOURCES,
    takes: ['RESOURCE'],
    read: (gcp, since, _given, signal) => readHierarchy(gcp, since, signal),
  },
  'service-accounts': {
    gives: 'service accounts, by their unique ids',
    permission: RESOURCES,
    takes: ['RESOURCE'],
    read: (gcp, since, _given, signal) => readAccounts(gcp, since, signal),
  },
  keys: {
    gives: 'keys of service accounts that people made: age, end, whether disabled',
    permission: RESOURCES,
    takes: ['RESOURCE'],
    read: (gcp, since, { clock }, signal) => readKeys(gcp, since, clock.now(), signal),
  },
  'api-keys': {
    gives: 'API keys, and what restricts them',
    permission: RESOURCES,
    takes: ['RESOURCE'],
    read: (gcp, since, _given, signal) => readApiKeys(gcp, since, signal),
  },
  federation: {
    gives: 'workload identity pools, whom their providers believe and under which condition',
    permission: RESOURCES,
    takes: ['RESOURCE'],
    read: (gcp, since, _given, signal) => readFederation(gcp, since, signal),
  },
  policies: {
    gives: 'who has which role where, who may act as which service account, who is from outside',
    permission: `cloudasset.assets.listIamPolicy, ${RESOURCES}`,
    takes: ['IAM_POLICY', 'RESOURCE'],
    read: (gcp, since, _given, signal) => readPolicies(gcp, since, signal),
  },
  activity: {
    gives: 'when each service account and key was used last, and for how long that was watched',
    permission: `policyanalyzer.serviceAccountLastAuthenticationActivities.query, policyanalyzer.serviceAccountKeyLastAuthenticationActivities.query, ${RESOURCES}`,
    takes: ['activity', 'RESOURCE'],
    read: (gcp, _since, _given, signal) => readActivity(gcp, signal),
  },
}

const manifest: Manifest = {
  id: 'gcp',
  version: '1',
  source: 'Google Cloud, by its asset inventory or an export of that',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'usage', 'usage-window'],
  reads: Object.entries(PARTS).map(([scope, { gives, permission }]) => ({
    scope,
    gives,
    permission,
    isOptional: scope !== 'hierarchy',
  })),
  writes: [],
  blindSpots: [
    'members of groups and of domains, and users by anything but their address: they are in Google Workspace',
    'policies that deny, principal access boundaries, organization policies: they can take away what is told as a right',
    'what predefined roles hold in detail: those that end in everything or act as service accounts are known by name, of others the name is read',
    'domain-wide delegation of service accounts into Google Workspace',
    'policies above what is read, and projects beside it',
    'what a key is: the file of one that stands in code is not recognised as one of these',
    'keys of HMAC, of signed addresses, OAuth clients, and what runs as which service account',
    'uses of keys for anything but Google’s APIs; uses of the last day or two',
    'changes of the last minutes: the asset inventory is behind',
  ],
  metadataHandling:
    'Names, ids, addresses, labels, descriptions, roles, members, conditions, issuers and audiences, restrictions of API keys, times of last use. No key, no string of an API key, no token; of resources nothing but their names.',
  risks: ['NHI1:2025', 'NHI3:2025', 'NHI4:2025', 'NHI5:2025', 'NHI6:2025', 'NHI7:2025'],
}

/** Reads who is in an organization of Google Cloud, with what keys, what they may and whom it believes. */
export const gcpConnector: Connector = {
  manifest,
  settings: GcpSourceSettings,
  credential: GcpSourceCredential,
  address(settings) {
    const { exportFolder, assetsFrom } = GcpSourceSettings.parse(settings)
    return exportFolder === undefined ? assetsFrom : `file://${encodeURI(exportFolder)}`
  },
  also(settings) {
    const { exportFolder, activityFrom } = GcpSourceSettings.parse(settings)
    return exportFolder === undefined ? [activityFrom] : []
  },
  async open(given, until): Promise<OpenSource> {
    const settings = GcpSourceSettings.parse(given.settings)
    const apis = settings.exportFolder === undefined ? apisOf(given, settings) : NO_APIS
    const gcp: Gcp = { settings, ...apis, parent: await whichParent({ settings, ...apis }, until) }
    return {
      probe: (signal) => probe(gcp, signal),
      scopes: () => scopes(),
      read(scope, since, signal) {
        const part = PARTS[scope]
        if (!part) throw new Unreadable('there is no such scope')
        return part.read(gcp, since, given, signal)
      },
      [Symbol.asyncDispose]: async () => undefined,
    }
  },
}

const NO_APIS = { assets: undefined, activity: undefined }

function apisOf(given: Given, { authorities }: GcpSourceSettings): Pick<Gcp, 'assets' | 'activity'> {
  if (!given.credential) throw new Unreadable('there is no key to log in with')
  const { data: credential } = GcpLogin.safeParse(JSON.parse(given.credential.reveal()))
  if (!credential) throw new Unreadable('there is no key to log in with')
  const api = { clock: given.clock, credential, ca: authorities === undefined ? {} : { ca: authorities } }
  const [activity] = given.also ?? []
  const assets: Api = { ...api, http: given.http, audience: 'https://cloudasset.googleapis.com/' }
  return {
    assets,
    activity: activity && { ...api, http: activity, audience: 'https://policyanalyzer.googleapis.com/' },
  }
}

async function* scopes(): AsyncGenerator<ScopeRef, ScopesReport> {
  for (const [scope, { gives }] of Object.entries(PARTS)) yield { scope, title: gives }
  return { isAll: true, missing: [] }
}

/** A project may be named by an id; everything in it names its number, which is given once. */
async function whichParent(gcp: Pick<Gcp, 'settings' | 'assets'>, signal: AbortSignal): Promise<string> {
  const { parent } = gcp.settings
  const isNumber = /^(?:organizations|folders|projects)\/\d+$/.test(parent)
  try {
    for await (const { items } of assetPages(gcp, { content: 'RESOURCE' }, undefined, signal, '1')) {
      const [first] = items
      if (!first) continue
      if (!isNumber && gcp.assets) return first.ancestors.find((node) => node.startsWith('projects/')) ?? parent
      if (first.ancestors.includes(parent)) return parent
      throw new Unreadable(
        'what is told is not below what the settings name; a project of an export is named by its number',
      )
    }
  } catch (error) {
    if (error instanceof Denied) throw new Unreadable(sentenceOf(error.missing), { cause: error })
    throw error
  }
  throw new Unreadable('there is nothing of what the settings name')
}

function sentenceOf({ why, permission = '' }: Missing): string {
  return permission === '' ? why : `${why} (it takes ${permission})`
}

/** What each part takes, by one thing of it; what several stand on is asked for once. */
async function probe(gcp: Gcp, signal: AbortSignal) {
  const tried = new Map<string, Missing | undefined>()
  const probed: ProbedScope[] = []
  for (const [scope, { takes }] of Object.entries(PARTS)) {
    const missing: Missing[] = []
    for (const what of takes) {
      if (!tried.has(what)) tried.set(what, await missingOf(gcp, what, signal))
      const without = tried.get(what)
      if (without) missing.push(without)
    }
    probed.push({ scope, isVisible: missing.length === 0, missing })
  }
  const system = gcp.assets ? `Google Cloud, ${gcp.parent}` : `Google Cloud, ${gcp.parent}, by an export`
  return { authority: `gcp:${gcp.parent}`, system, scopes: probed }
}

async function missingOf(gcp: Gcp, what: Content | 'activity', signal: AbortSignal): Promise<Missing | undefined> {
  const first = async (list: AsyncIterable<unknown>) => {
    for await (const _page of list) return
  }
  try {
    if (what !== 'activity') await first(assetPages(gcp, { content: what }, undefined, signal, '1'))
    else if (gcp.activity) {
      const asked = activityAsked(gcp.settings.parent, 'serviceAccountLastAuthentication', '1')
      await first(pages(gcp.activity, asked, { key: 'activities', shape: z.unknown() }, signal))
    } else return NO_ACTIVITY
    return undefined
  } catch (error) {
    if (error instanceof Denied) return error.missing
    // What makes no sense in one place does not keep the rest from being read.
    if (error instanceof Unreadable) return { what: 'a part of what there is', why: error.message }
    throw error
  }
}
