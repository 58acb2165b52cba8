import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { z } from 'zod'
import { nextTurn } from '../../kernel/timer.ts'
import { isZstd, unzstd } from '../../kernel/zstd.ts'
import { Unreadable } from '../connector.ts'
import { gather, type Gathered, type Seeing } from './gather.ts'
import { openParts, type Blob, type Parts } from './image-parts.ts'
import { overlaid, type Layer } from './layers.ts'
import { cleanPath, tarEntries, type Read, type TarEntry } from './tar.ts'

/** Manifests and configurations are some kilobytes. */
const JSON_BYTES = 4 * 1024 ** 2
/** Of one layer, as it lies there and unpacked: both are held whole. */
const LAYER_BYTES = 512 * 1024 ** 2
const FILE_BYTES = 64 * 1024 ** 2
const MANIFESTS_MAX = 32
const LAYERS_MAX = 500
/** Further names of one file that are kept. */
const LINKS_MAX = 100
/** Unpacked at once; of small chunks a large layer has too many. */
const CHUNK_BYTES = 1024 ** 2
const TURN_BYTES = 8 * 1024 ** 2

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const Word = z.string().max(60).nullish()
const Platform = z.object({ os: Word, architecture: Word, variant: Word })
const Descriptor = z.object({
  digest: Digest,
  mediaType: z.string().max(200).optional(),
  platform: Platform.nullish().catch(null),
})
// OCI Image Layout 1.1: index.json names manifests, or further indexes.
const Index = z.object({ manifests: z.array(Descriptor) })
const Manifest = z.object({ config: Descriptor, layers: z.array(Descriptor).max(LAYERS_MAX) })
// OCI Image Manifest 1.1, "Guidance for an Empty Descriptor".
const EMPTY = 'application/vnd.oci.empty.v1+json'
// As docker save wrote it before it wrote an OCI layout too.
const Saved = z
  .array(z.object({ Config: z.string().max(300), Layers: z.array(z.string().max(300)).max(LAYERS_MAX) }))
  .min(1)
  .max(MANIFESTS_MAX)

/** `isFile`: what a build attaches, such as where it came from, is one file and no tree. */
type LayerBlob = Blob & { readonly isFile: boolean }
type Image = {
  readonly config: Blob | undefined
  readonly layers: readonly LayerBlob[]
  readonly platform: string | undefined
}

/** Every layer in its order with what later ones cover or take away, and the configuration, where variables and commands of the build stand. */
export async function gatherImage(seeing: Seeing, into: Gathered, path: string, signal: AbortSignal): Promise<void> {
  await using parts = await openParts(path)
  if (!parts.isWhole) miss(into, 'the archive is damaged or cut off')
  const images = await imagesOf(parts, into)
  for (const [at, image] of images.entries()) {
    // Of one image alone the paths are those inside of it.
    const prefix = images.length === 1 ? '' : `image-${at + 1}/`
    await gatherOne({ seeing, into, parts, prefix, signal }, image)
  }
}

function miss(into: Gathered, reason: string): void {
  into.unread.set(reason, (into.unread.get(reason) ?? 0) + 1)
}

async function imagesOf(parts: Parts, into: Gathered): Promise<Image[]> {
  const index = Index.safeParse(await json(parts, { name: 'index.json', sha256: undefined }))
  if (index.success) {
    const images = await imagesIn(parts, into, index.data, 0)
    if (images.length > MANIFESTS_MAX) miss(into, `there are more than ${MANIFESTS_MAX} images`)
    if (images.length > 0) return images.slice(0, MANIFESTS_MAX)
  }
  const saved = Saved.safeParse(await json(parts, { name: 'manifest.json', sha256: undefined }))
  if (!saved.success) throw new Unreadable('there is no image: neither index.json nor manifest.json names one')
  const named = (name: string) => ({ name: cleanPath(name), sha256: undefined, isFile: false })
  return saved.data.map(({ Config, Layers }) => ({
    config: named(Config),
    layers: Layers.map(named),
    platform: undefined,
  }))
}

/** One more than are read, where there are more. */
async function imagesIn(
  parts: Parts,
  into: Gathered,
  { manifests }: z.output<typeof Index>,
  depth: number,
): Promise<Image[]> {
  const images: Image[] = []
  for (const { digest, platform } of manifests) {
    if (images.length > MANIFESTS_MAX) break
    const content = await json(parts, blobOf(digest))
    const manifest = Manifest.safeParse(content)
    const inner = Index.safeParse(content)
    if (manifest.success) {
      const { config, layers } = manifest.data
      images.push({
        config: config.mediaType === EMPTY ? undefined : blobOf(config.digest),
        layers: layers.map((layer) => ({ ...blobOf(layer.digest), isFile: isFile(layer) })),
        platform: platformOf(platform),
      })
    } else if (inner.success && depth < 2) images.push(...(await imagesIn(parts, into, inner.data, depth + 1)))
    // A copy of one platform keeps the index that names them all.
    else miss(into, 'the index names an image that is not there, or not one')
  }
  return images
}

function isFile({ mediaType }: z.output<typeof Descriptor>): boolean {
  return mediaType !== undefined && !mediaType.includes('tar')
}

function platformOf(platform: z.output<typeof Platform> | null | undefined): string | undefined {
  const said = [platform?.os, platform?.architecture, platform?.variant].filter((word) => word && word !== 'unknown')
  return said.length > 0 ? said.join('/') : undefined
}

function blobOf(digest: string): Blob {
  const hex = digest.slice('sha256:'.length)
  return { name: `blobs/sha256/${hex}`, sha256: hex }
}

async function json(parts: Parts, blob: Blob): Promise<unknown> {
  const bytes = await parts.bytesOf(blob, JSON_BYTES)
  if (typeof bytes === 'string') return undefined
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

type Work = {
  readonly seeing: Seeing
  readonly into: Gathered
  readonly parts: Parts
  readonly prefix: string
  readonly signal: AbortSignal
}

async function gatherOne(work: Work, { config, layers, platform }: Image): Promise<void> {
  const { seeing, into, parts, prefix, signal } = work
  const of = platform === undefined ? {} : { platform }
  const whole = async (blob: Blob, name: string, path: string) => {
    const bytes = await parts.bytesOf(blob, JSON_BYTES)
    const told = { path: `${prefix}${path}`, isInNewest: true, facts: of }
    if (typeof bytes === 'string') miss(into, bytes)
    else await gather(seeing, into, { kind: 'bytes', name, bytes }, () => told, signal)
  }
  if (config) await whole(config, 'config.json', 'configuration of the image')
  for (const [at, layer] of layers.entries())
    if (layer.isFile) await whole(layer, 'attached.json', `attached to the image (${at + 1})`)
  // What stands above decides what is still there, so names come first and are kept; contents are read layer by layer.
  const trees = layers.filter((layer) => !layer.isFile)
  const listed: Listed[] = []
  for (const layer of trees) listed.push(await listedOf(work, layer))
  const stands = overlaid(listed.map(({ names }) => names))
  for (const [at, layer] of trees.entries()) {
    const { isRead, links } = listed[at] ?? UNREAD
    if (!isRead) continue
    const bytes = await unpacked(parts, layer)
    const facts = { firstLayer: at + 1, firstLayerDigest: layer.sha256 ?? layer.name, ...of }
    if (typeof bytes !== 'string') await gatherLayer(work, bytes, { stands: (name) => stands(at, name), links, facts })
  }
}

/** What a layer brings, and by which further names what it brings is there: to take one away leaves the others. */
type Listed = {
  readonly isRead: boolean
  readonly names: Layer
  readonly links: ReadonlyMap<string, readonly string[]>
}

const UNREAD: Listed = { isRead: false, names: new Map(), links: new Map() }

async function listedOf({ parts, into, signal }: Work, layer: Blob): Promise<Listed> {
  signal.throwIfAborted()
  const bytes = await unpacked(parts, layer)
  if (typeof bytes === 'string') {
    miss(into, bytes)
    return UNREAD
  }
  const names = new Map<string, TarEntry['type']>()
  const links = new Map<string, string[]>()
  const reading = tarEntries(inBuffer(bytes), bytes.length)
  for (let next = await reading.next(); ; next = await reading.next()) {
    if (!next.done) {
      const { name, type, link, isHard } = next.value
      names.set(name, type)
      if (!isHard || link === undefined) continue
      const to = cleanPath(link)
      links.set(to, [...(links.get(to) ?? []), name].slice(0, LINKS_MAX))
    } else {
      if (!next.value) miss(into, 'a layer is damaged or cut off')
      return { isRead: true, names, links }
    }
  }
}

const inflate = promisify(gunzip)

async function unpacked(parts: Parts, layer: Blob): Promise<Buffer | string> {
  const bytes = await parts.bytesOf(layer, LAYER_BYTES)
  if (typeof bytes === 'string') return bytes
  const bound = { maxOutputLength: LAYER_BYTES, chunkSize: CHUNK_BYTES }
  try {
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) return await inflate(bytes, bound)
    if (isZstd(bytes)) return await unzstd(bytes, LAYER_BYTES)
    return bytes
  } catch (error) {
    return error instanceof RangeError
      ? `a layer unpacks to more than ${LAYER_BYTES} bytes`
      : 'a layer is damaged or cut off'
  }
}

function inBuffer(bytes: Buffer): Read {
  return async (at, sizeBytes) => bytes.subarray(at, at + sizeBytes)
}

type Which = {
  readonly stands: (name: string) => boolean
  readonly links: Listed['links']
  readonly facts: Readonly<Record<string, string | number>>
}

async function gatherLayer(
  { seeing, into, prefix, signal }: Work,
  bytes: Buffer,
  { stands, links, facts }: Which,
): Promise<void> {
  let sinceTurn = 0
  for await (const entry of tarEntries(inBuffer(bytes), bytes.length)) {
    const { type, at, sizeBytes } = entry
    if (type !== 'file') continue
    if (sizeBytes > FILE_BYTES) miss(into, `only its first ${FILE_BYTES} bytes were looked at`)
    const body = bytes.subarray(at, at + Math.min(sizeBytes, FILE_BYTES))
    const name = [entry.name, ...(links.get(entry.name) ?? [])].find(stands) ?? entry.name
    const isInNewest = stands(name)
    // Inside of archives the scanner goes on behind !.
    const tell = (found: { readonly path: string }) => ({ path: `${prefix}${found.path}`, isInNewest, facts })
    await gather(seeing, into, { kind: 'bytes', name, bytes: body }, tell, signal)
    sinceTurn += sizeBytes
    if (sinceTurn < TURN_BYTES) continue
    await nextTurn()
    sinceTurn = 0
  }
}
