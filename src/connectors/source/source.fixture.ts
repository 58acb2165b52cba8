/** Repositories of the real git, archives made by hand, secrets made at run time, and a reading without an inventory. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { crcSample, maker, seeded } from '../../../test/support/secrets/samples.ts'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { processEnvironment } from '../../kernel/environment.ts'
import { fingerprintsUnder } from '../../kernel/fingerprint.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Observation, ScopeReport } from '../connector.ts'
import { sourceConnector } from './connector.ts'

export type Ends = Pick<TestContext, 'after'>
export const make = maker(seeded(91))
export const TOKEN = crcSample(make, 'ghp_')
export const REMOVED = crcSample(make, 'gho_')
export const BAKED = crcSample(make, 'npm_')
export const LOGGED = crcSample(make, 'ghs_')
export const MOVED = crcSample(make, 'ghu_')
export const fingerprints = fingerprintsUnder(new Secret(Buffer.alloc(32, 5)))

export function folderOf(t: Ends): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-source-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function put(root: string, path: string, content: string | Buffer): string {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
  return join(root, path)
}

/** A repository of the real git, whose commits have fixed authors and times. */
export function repositoryOf(t: Ends) {
  const root = folderOf(t)
  let minute = 0
  const git = (...args: string[]) => {
    const at = `2026-01-01T00:${String((minute += 1)).padStart(2, '0')}:00Z`
    const env = { ...processEnvironment(), GIT_AUTHOR_DATE: at, GIT_COMMITTER_DATE: at, GIT_CONFIG_GLOBAL: '/dev/null' }
    return execFileSync('git', args, { cwd: root, env, encoding: 'utf8' }).trim()
  }
  git('init', '-q', '-b', 'main')
  const commit = (name: string, files: Readonly<Record<string, string | null>>) => {
    for (const [path, text] of Object.entries(files)) {
      if (text === null) rmSync(join(root, path))
      else put(root, path, text)
    }
    git('add', '-A')
    git('-c', `user.name=${name}`, '-c', `user.email=${name.toLowerCase()}@orders.dev`, 'commit', '-q', '-m', 'change')
    return git('rev-parse', 'HEAD')
  }
  return { root, git, commit }
}

export const byName = (a: readonly unknown[], b: readonly unknown[]) => (String(a[0]) < String(b[0]) ? -1 : 1)

export type File = {
  readonly name: string
  readonly body?: string | Buffer
  readonly flag?: string
  readonly link?: string
}

/** A tar by hand, ustar. */
export function tar(files: readonly File[]): Buffer {
  const blocks = files.map(({ name, body = '', flag = '0', link = '' }) => {
    const content = Buffer.from(body)
    const header = Buffer.alloc(512)
    header.write(name, 0, 100)
    header.write(content.length.toString(8).padStart(11, '0'), 124)
    header.write(flag, 156)
    header.write(link, 157, 100)
    header.write('ustar\x0000', 257)
    header.fill(' ', 148, 156)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)])
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

/** What an index has besides: manifests that are named and not there, and files that are attached to the image. */
type Besides = { readonly absent?: string; readonly attached?: string }

/** An archive in OCI's layout, made by hand. */
export function imageOf(...given: Parameters<typeof imageFiles>): Buffer {
  return tar(imageFiles(...given))
}

/** The same as a folder. */
export function layoutOf(folder: string, ...given: Parameters<typeof imageFiles>): string {
  for (const { name, body = '' } of imageFiles(...given)) put(folder, name, body)
  return folder
}

/** The layers in their order, gzip, zstd and plain in turn. */
function imageFiles(
  layers: readonly (readonly File[])[],
  config: object = {},
  spoil?: (blob: Buffer) => Buffer,
  { absent, attached }: Besides = {},
): File[] {
  const blobs: File[] = []
  const add = (bytes: Buffer) => {
    const hex = sha256(bytes).toString('hex')
    blobs.push({ name: `blobs/sha256/${hex}`, body: bytes })
    return { digest: `sha256:${hex}`, size: bytes.length }
  }
  const packed = layers.map((files, at) => {
    const bytes = tar(files)
    return [gzipSync(bytes), zstdCompressSync(bytes), bytes][at % 3] ?? bytes
  })
  const named = packed.map(add)
  const toto = (text: string) => ({ ...add(Buffer.from(text)), mediaType: 'application/vnd.in-toto+json' })
  const listed = attached === undefined ? named : [...named, toto(attached)]
  const manifest = add(
    Buffer.from(JSON.stringify({ config: add(Buffer.from(JSON.stringify(config))), layers: listed })),
  )
  const platform = { os: 'linux', architecture: 'arm64' }
  const sparse = absent === undefined ? [] : [{ digest: `sha256:${absent}`, platform }]
  const nested = add(Buffer.from(JSON.stringify({ manifests: [{ ...manifest, platform }, ...sparse] })))
  const spoiled = blobs.map((blob, at) =>
    at === 0 && spoil ? { ...blob, body: spoil(Buffer.from(blob.body ?? '')) } : blob,
  )
  return [{ name: './index.json', body: JSON.stringify({ manifests: [nested] }) }, ...spoiled]
}

export async function reading(settings: Record<string, unknown>) {
  const signal = new AbortController().signal
  const parsed = sourceConnector.settings.parse(settings)
  await using source = await sourceConnector.open(
    {
      settings: parsed,
      credential: undefined,
      clock: systemClock,
      fingerprint: (value) => fingerprints.of(value),
      http: sourceHttpTo(sourceConnector.address(parsed), systemClock),
      ours: async () => new Set(),
      custody: () => Buffer.of(),
    },
    signal,
  )
  const told: Observation[] = []
  const reports = new Map<string, ScopeReport | Error>()
  for await (const { scope } of source.scopes(signal)) {
    try {
      const pages = source.read(scope, {}, signal)
      for (let next = await pages.next(); ; next = await pages.next()) {
        if (!next.done) told.push(...next.value.observations)
        else {
          reports.set(scope, next.value)
          break
        }
      }
    } catch (error) {
      assert.ok(error instanceof Error)
      reports.set(scope, error)
    }
  }
  const of = <K extends Observation['kind']>(kind: K) =>
    told.filter((each): each is Extract<Observation, { kind: K }> => each.kind === kind)
  return { told, reports, credentials: of('credential'), references: of('reference') }
}
