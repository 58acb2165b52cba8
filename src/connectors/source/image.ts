import { open, type FileHandle } from 'node:fs/promises'
import { constants } from 'node:fs'
import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import { z } from 'zod'
import { sha256 } from '../../kernel/crypto.ts'
import { nextTurn } from '../../kernel/timer.ts'
import { Unreadable } from '../connector.ts'
import { gather, type Gathered, type Seeing } from './gather.ts'
import { overlaid, type Layer } from './layers.ts'
import { cleanPath, tarEntries, type Read, type TarEntry } from './tar.ts'

/** Manifests and configurations are some kilobytes. */
const JSON_BYTES = 4 * 1024 ** 2
/** Of one layer, as it lies there and unpacked: both are held whole. */
const LAYER_BYTES = 512 * 1024 ** 2
const FILE_BYTES = 64 * 1024 ** 2
const MANIFESTS_MAX = 32
const LAYERS_MAX = 500
const TURN_BYTES = 8 * 1024 ** 2

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const Descriptor = z.object({ digest: Digest, mediaType: z.string().max(200).optional() })
// OCI Image Layout 1.1: index.json names manifests, or further indexes.
const Index = z.object({ manifests: z.array(Descriptor).max(MANIFESTS_MAX) })
const Manifest = z.object({ config: Descriptor, layers: z.array(Descriptor).max(LAYERS_MAX) })
// As docker save wrote it before it wrote an OCI layout too.
const Saved = z
  .array(z.object({ Config: z.string().max(300), Layers: z.array(z.string().max(300)).max(LAYERS_MAX) }))
  .min(1)
  .max(MANIFESTS_MAX)

type Blob = { readonly name: string; readonly sha256: string | undefined }
type Image = { readonly config: Blob; readonly layers: readonly Blob[] }
type Archive = { readonly read: Read; readonly entries: ReadonlyMap<string, TarEntry> }

/** Every layer in its order with what later ones cover or take away, and the configuration, where variables and commands of the build stand. */
export async function gatherImage(seeing: Seeing, into: Gathered, path: string, signal: AbortSignal): Promise<void> {
  const file = await openFile(path)
  try {
    const archive = await archiveOf(file, into)
    const images = await imagesOf(archive)
    for (const [at, image] of images.entries()) {
      // Of one image alone the paths are those inside of it.
      const prefix = images.length === 1 ? '' : `image-${at + 1}/`
      await gatherOne({ seeing, into, archive, prefix, signal }, image)
    }
  } finally {
    await file.close()
  }
}

async function openFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new Unreadable('the image is no file')
}

async function archiveOf(file: FileHandle, into: Gathered): Promise<Archive> {
  const read: Read = async (at, sizeBytes) => {
    const bytes = Buffer.alloc(sizeBytes)
    let held = 0
    while (held < sizeBytes) {
      const { bytesRead } = await file.read(bytes, held, sizeBytes - held, at + held)
      if (bytesRead === 0) break
      held += bytesRead
    }
    return bytes.subarray(0, held)
  }
  const entries = new Map<string, TarEntry>()
  const reading = tarEntries(read, (await file.stat()).size)
  for (let next = await reading.next(); ; next = await reading.next()) {
    if (!next.done) entries.set(next.value.name, next.value)
    else {
      if (!next.value) miss(into, 'the archive is damaged or cut off')
      return { read, entries }
    }
  }
}

function miss(into: Gathered, reason: string): void {
  into.unread.set(reason, (into.unread.get(reason) ?? 0) + 1)
}

async function imagesOf(archive: Archive): Promise<Image[]> {
  const index = Index.safeParse(await json(archive, { name: 'index.json', sha256: undefined }))
  if (index.success) {
    const images = await imagesIn(archive, index.data, 0)
    if (images.length > 0) return images
  }
  const saved = Saved.safeParse(await json(archive, { name: 'manifest.json', sha256: undefined }))
  if (!saved.success) throw new Unreadable('the archive holds no image: neither index.json nor manifest.json names one')
  const named = (name: string): Blob => ({ name: cleanPath(name), sha256: undefined })
  return saved.data.map(({ Config, Layers }) => ({ config: named(Config), layers: Layers.map(named) }))
}

async function imagesIn(archive: Archive, index: z.output<typeof Index>, depth: number): Promise<Image[]> {
  const images: Image[] = []
  for (const { digest } of index.manifests) {
    const content = await json(archive, blobOf(digest))
    const manifest = Manifest.safeParse(content)
    const inner = Index.safeParse(content)
    if (manifest.success) {
      const { config, layers } = manifest.data
      images.push({ config: blobOf(config.digest), layers: layers.map((layer) => blobOf(layer.digest)) })
    } else if (inner.success && depth < 2) images.push(...(await imagesIn(archive, inner.data, depth + 1)))
    if (images.length >= MANIFESTS_MAX) break
  }
  return images.slice(0, MANIFESTS_MAX)
}

function blobOf(digest: string): Blob {
  const hex = digest.slice('sha256:'.length)
  return { name: `blobs/sha256/${hex}`, sha256: hex }
}

/** Its bytes when they are there, not too many, and what their digest says. */
async function bytesOf({ read, entries }: Archive, blob: Blob, most: number): Promise<Buffer | string> {
  const entry = entries.get(blob.name)
  if (entry?.type !== 'file') return 'a part of the image is not in the archive'
  if (entry.sizeBytes > most) return `a part of the image is larger than ${most} bytes`
  const bytes = await read(entry.at, entry.sizeBytes)
  const isIt = blob.sha256 === undefined || sha256(bytes).toString('hex') === blob.sha256
  return isIt ? bytes : 'a part of the image is not what its digest says'
}

async function json(archive: Archive, blob: Blob): Promise<unknown> {
  const bytes = await bytesOf(archive, blob, JSON_BYTES)
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
  readonly archive: Archive
  readonly prefix: string
  readonly signal: AbortSignal
}

async function gatherOne(work: Work, { config, layers }: Image): Promise<void> {
  const { seeing, into, archive, prefix, signal } = work
  const settings = await bytesOf(archive, config, JSON_BYTES)
  if (typeof settings === 'string') miss(into, settings)
  else {
    const told = { path: `${prefix}configuration of the image`, isInNewest: true, facts: {} }
    await gather(seeing, into, { kind: 'bytes', name: 'config.json', bytes: settings }, () => told, signal)
  }
  // What stands above decides what is still there, so names come first and are kept; contents are read layer by layer.
  const listed: Layer[] = []
  for (const layer of layers) listed.push(await listedOf(work, layer))
  const stands = overlaid(listed)
  for (const [at, layer] of layers.entries()) {
    const bytes = await unpacked(archive, layer)
    if (typeof bytes !== 'string') await gatherLayer(work, bytes, { at, stands, digest: layer.sha256 ?? layer.name })
  }
}

async function listedOf({ archive, into, signal }: Work, layer: Blob): Promise<Layer> {
  signal.throwIfAborted()
  const bytes = await unpacked(archive, layer)
  const names = new Map<string, TarEntry['type']>()
  if (typeof bytes === 'string') {
    miss(into, bytes)
    return names
  }
  const reading = tarEntries(inBuffer(bytes), bytes.length)
  for (let next = await reading.next(); ; next = await reading.next()) {
    if (!next.done) names.set(next.value.name, next.value.type)
    else {
      if (!next.value) miss(into, 'a layer is damaged or cut off')
      return names
    }
  }
}

const inflate = promisify(gunzip)
const inflateZstd = promisify(zstdDecompress)

async function unpacked(archive: Archive, layer: Blob): Promise<Buffer | string> {
  const bytes = await bytesOf(archive, layer, LAYER_BYTES)
  if (typeof bytes === 'string') return bytes
  const bound = { maxOutputLength: LAYER_BYTES }
  try {
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) return await inflate(bytes, bound)
    if (bytes.length > 4 && bytes.readUInt32LE(0) === 0xfd2fb528) return await inflateZstd(bytes, bound)
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

type Which = { readonly at: number; readonly stands: ReturnType<typeof overlaid>; readonly digest: string }

async function gatherLayer({ seeing, into, prefix, signal }: Work, bytes: Buffer, which: Which): Promise<void> {
  let sinceTurn = 0
  for await (const { name, type, at, sizeBytes } of tarEntries(inBuffer(bytes), bytes.length)) {
    if (type !== 'file') continue
    if (sizeBytes > FILE_BYTES) miss(into, `only its first ${FILE_BYTES} bytes were looked at`)
    const body = bytes.subarray(at, at + Math.min(sizeBytes, FILE_BYTES))
    const isInNewest = which.stands(which.at, name)
    const facts = { firstLayer: which.at + 1, firstLayerDigest: which.digest }
    // Inside of archives the scanner goes on behind !.
    const tell = (found: { readonly path: string }) => ({ path: `${prefix}${found.path}`, isInNewest, facts })
    await gather(seeing, into, { kind: 'bytes', name, bytes: body }, tell, signal)
    sinceTurn += sizeBytes
    if (sinceTurn < TURN_BYTES) continue
    await nextTurn()
    sinceTurn = 0
  }
}
