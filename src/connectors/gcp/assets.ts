/** What the asset inventory has, from the API or from files of its export: the same assets in the same form. */
import { z } from 'zod'
import { Denied, filesUnder, LogLines, openLog, Unreadable, type Missing, type Walked } from '../connector.ts'
import { pages, type Api, type Listed } from './api.ts'
import type { GcpSourceSettings } from './settings.ts'

const Text = z.string().max(10_000)

const TEXTS = [
  'name',
  'uid',
  'uniqueId',
  'email',
  'displayName',
  'description',
  'projectId',
  'state',
  'lifecycleState',
  'createTime',
  'deleteTime',
  'validAfterTime',
  'validBeforeTime',
  'keyAlgorithm',
  'keyType',
  'keyOrigin',
  'disableReason',
  'serviceAccountEmail',
  'mode',
]
// Fields of the resources that are read, by the APIs that they are of; one of another type is no answer of them.
const Data = z.looseObject({
  ...Object.fromEntries(TEXTS.map((field) => [field, z.string().nullish()])),
  disabled: z.boolean().nullish(),
  labels: z.record(z.string(), Text).nullish(),
  includedPermissions: z.array(Text).nullish(),
})

const Binding = z.object({
  role: Text,
  members: z.array(Text).default([]),
  condition: z.object({ title: Text.optional(), expression: Text.optional() }).optional(),
})
export type Binding = z.output<typeof Binding>

// Cloud Asset API v1, `Asset`. The API writes names of fields in camel case, files of an export in snake case.
const Asset = z.preprocess(
  camel,
  z.object({
    name: Text,
    assetType: Text,
    ancestors: z.array(Text).default([]),
    resource: z.object({ parent: Text.optional(), data: Data.default({}) }).optional(),
    iamPolicy: z.object({ bindings: z.array(Binding).default([]) }).optional(),
  }),
)
export type Asset = z.output<typeof Asset>

const CAMEL: Readonly<Record<string, string>> = { asset_type: 'assetType', iam_policy: 'iamPolicy' }

function camel(told: unknown): unknown {
  if (typeof told !== 'object' || told === null) return told
  return Object.fromEntries(Object.entries(told).map(([name, value]) => [CAMEL[name] ?? name, value]))
}

export type Content = 'RESOURCE' | 'IAM_POLICY'

export type Gcp = {
  readonly settings: GcpSourceSettings
  readonly assets: Api | undefined
  readonly activity: Api | undefined
  /** What is read, by its number: `projects/123`, never a name that can be given again. */
  readonly parent: string
}

export type Wanted = { readonly content: Content; readonly types?: readonly string[] }

export const TYPES = {
  organization: 'cloudresourcemanager.googleapis.com/Organization',
  folder: 'cloudresourcemanager.googleapis.com/Folder',
  project: 'cloudresourcemanager.googleapis.com/Project',
  account: 'iam.googleapis.com/ServiceAccount',
  key: 'iam.googleapis.com/ServiceAccountKey',
  role: 'iam.googleapis.com/Role',
  pool: 'iam.googleapis.com/WorkloadIdentityPool',
  provider: 'iam.googleapis.com/WorkloadIdentityPoolProvider',
  apiKey: 'apikeys.googleapis.com/Key',
} as const

function needOf(content: Content, parent: string, what = 'what the asset inventory has'): Missing {
  const permission = `cloudasset.assets.${content === 'RESOURCE' ? 'listResource' : 'listIamPolicy'}`
  return { what, why: 'the login may not list it', permission: `${permission} on ${parent} (roles/cloudasset.viewer)` }
}

const PAGE = '1000'

/** Each page of the assets of some kinds. */
export async function* assetPages(
  gcp: Pick<Gcp, 'settings' | 'assets'>,
  wanted: Wanted,
  cursor: string | undefined,
  signal: AbortSignal,
  pageSize = PAGE,
): AsyncGenerator<Listed<Asset>, void> {
  const { settings, assets } = gcp
  if (!assets) {
    yield* exported(settings, wanted, signal)
    return
  }
  const query: [string, string][] = [
    ['contentType', wanted.content],
    ...(wanted.types ?? []).map((type): [string, string] => ['assetTypes', type]),
    ['pageSize', pageSize],
  ]
  const asked = { path: `/v1/${settings.parent}/assets`, query, need: needOf(wanted.content, settings.parent) }
  yield* pages(assets, asked, { key: 'assets', shape: Asset, cursor }, signal)
}

/** Every asset of some kinds, one by one. */
export async function* everyAsset(gcp: Gcp, wanted: Wanted, signal: AbortSignal): AsyncGenerator<Asset, void> {
  for await (const { items } of assetPages(gcp, wanted, undefined, signal)) yield* items
}

const EXPORT = /\.(?:json|jsonl|ndjson)$/
const EXPORT_MISSING = (content: Content): Missing => ({
  what: content === 'RESOURCE' ? 'what there is' : 'who may what',
  why: 'the export has nothing of it',
  permission: `gcloud asset export --content-type=${content === 'RESOURCE' ? 'resource' : 'iam-policy'}`,
})

/** Cloud Asset Inventory, "Export assets": a line of JSON for each asset; one export holds one kind of content. */
async function* exported(
  { exportFolder = '' }: GcpSourceSettings,
  { content, types }: Wanted,
  signal: AbortSignal,
): AsyncGenerator<Listed<Asset>, void> {
  const walked: Walked = { unreadable: 0, links: 0, isCut: false, denied: 0, lost: 0 }
  let [seen, held]: [number, Asset[]] = [0, []]
  for await (const { path } of filesUnder(Buffer.from(exportFolder.replace(/(?<=.)\/+$/, '')), walked, signal)) {
    const name = path.toString('utf8')
    if (!EXPORT.test(name)) continue
    for await (const asset of linesOf(name, signal)) {
      if ((content === 'RESOURCE' ? asset.resource : asset.iamPolicy) === undefined) continue
      seen += 1
      if (types && !types.includes(asset.assetType)) continue
      held.push(asset)
      if (held.length < Number(PAGE)) continue
      yield { items: held, next: undefined }
      held = []
    }
  }
  if (walked.unreadable + walked.denied + walked.lost > 0 || walked.isCut)
    throw new Unreadable('a part of the folder with the export cannot be read')
  if (seen === 0) throw new Denied(EXPORT_MISSING(content))
  yield { items: held, next: undefined }
}

async function* linesOf(path: string, signal: AbortSignal): AsyncGenerator<Asset, void> {
  const file = await openLog(path)
  try {
    const lines = new LogLines(0)
    for await (const line of lines.of(file, signal)) yield assetIn(line)
    const { size } = await file.stat()
    const rest = Buffer.alloc(Math.min(size - lines.taken, LINE_BYTES))
    await file.read(rest, 0, rest.length, lines.taken)
    // The last line need not end.
    if (rest.length > 0) yield assetIn(rest.toString('utf8'))
    if (lines.tooLong > 0) throw new Unreadable('a line of the export is longer than any asset')
  } finally {
    await file.close()
  }
}
const LINE_BYTES = 16 * 1024 * 1024

function assetIn(line: string): Asset {
  let told: unknown
  try {
    told = JSON.parse(line)
  } catch (error) {
    throw new Unreadable('a line of the export is not JSON, or is cut off', { cause: error })
  }
  const { data } = Asset.safeParse(told)
  if (!data) throw new Unreadable('a line of the export is no asset')
  return data
}
