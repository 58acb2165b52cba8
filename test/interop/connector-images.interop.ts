import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { linkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { byName, folderOf, put, reading } from '../../src/connectors/source/source.fixture.ts'
import { imageTools, startRegistry, type ImageTools } from './peers/images.ts'
import { crcSample, maker, seeded } from '../support/secrets/samples.ts'
import { cleaningOfFile } from '../support/installation.ts'

// Images that others build, move and serve: umoci, skopeo and crane. Other secrets in each run.
const cleaning = cleaningOfFile()
const make = maker(seeded(randomInt(2 ** 31)))
const SECRETS = ['kept', 'taken', 'hidden', 'linked', 'configured'].map((name, at) => ({
  name,
  value: crcSample(make, ['ghp_', 'gho_', 'npm_', 'ghs_', 'ghu_'][at] ?? 'ghp_'),
}))
const valueOf = (wanted: string) => SECRETS.find(({ name }) => name === wanted)?.value ?? ''

/** The place, whether a container begins with it, and the layer that brought it. */
const EXPECTED = [
  ['app/kept.env', true, 1],
  ['app/taken.env', false, 1],
  ['configuration of the image', true, undefined],
  ['etc/hidden/old.env', false, 2],
  ['srv/second.env', true, 3],
]

let folder = ''
let tools: ImageTools

before(async () => {
  folder = folderOf(cleaning)
  tools = await imageTools(folder)
  const env = (path: string, name: string) => put(folder, path, `TOKEN=${valueOf(name)}\n`)
  env('app/kept.env', 'kept')
  env('app/taken.env', 'taken')
  env('hidden/old.env', 'hidden')
  env('srv/first.env', 'linked')
  linkSync(join(folder, 'srv/first.env'), join(folder, 'srv/second.env'))
  put(folder, 'empty/readme', 'nothing to hide\n')
  const { umoci } = tools
  await umoci('init', '--layout', 'layout')
  await umoci('new', '--image', 'layout:shop')
  const insert = (...args: string[]) => umoci('insert', '--image', 'layout:shop', ...args)
  await insert('app', '/app')
  await insert('hidden', '/etc/hidden')
  await insert('srv', '/srv')
  await insert('--opaque', 'empty', '/etc/hidden')
  await insert('--whiteout', '/app/taken.env')
  await insert('--whiteout', '/srv/first.env')
  await umoci('config', '--image', 'layout:shop', '--config.env', `NPM_TOKEN=${valueOf('configured')}`)
  // Of each change umoci leaves the manifest before; what no tag names is collected.
  await umoci('gc', '--layout', 'layout')
})

after(() => cleaning.now())

async function look(image: string) {
  const { told, references, reports } = await reading({ image: join(folder, image) })
  const text = JSON.stringify(told)
  for (const { value } of SECRETS) assert.ok(!text.includes(value.slice(4)))
  const found = references.map(({ location, facts }) => [location, facts?.['isInNewest'], facts?.['firstLayer']])
  return { found: found.toSorted(byName), report: reports.get('image'), references }
}

async function readWhole(image: string, expected: readonly unknown[][] = EXPECTED) {
  const { found, report } = await look(image)
  assert.deepEqual([image, report, found], [image, { status: 'complete', missing: [] }, expected])
}

test('an image that umoci built is read as it lies there: what later layers take away or hide is found and said to be gone', async () => {
  await readWhole('layout')
})

test('the same image as skopeo writes it, gzip, zstd, zstd in chunks, for docker and as an archive, is the same', async () => {
  const copy = (to: string, ...args: string[]) => tools.skopeo('copy', ...args, 'oci:layout:shop', to)
  await copy('oci-archive:plain.tar:shop')
  await copy('oci-archive:zstd.tar:shop', '--dest-compress-format', 'zstd')
  await copy('oci:chunked:shop', '--dest-compress-format', 'zstd:chunked')
  await copy('docker-archive:docker.tar:shop:1')
  for (const image of ['plain.tar', 'zstd.tar', 'chunked', 'docker.tar']) await readWhole(image)
})

test('an index of two platforms goes through a registry and crane, and each of its images is told with its platform', async () => {
  const { skopeo, crane } = tools
  const registry = await startRegistry(cleaning)
  const shop = `${registry}/shop`
  await skopeo('copy', '--dest-tls-verify=false', 'oci:layout:shop', `docker://${shop}:amd64`)
  await crane('mutate', `${shop}:amd64`, '--set-platform', 'linux/amd64', '-t', `${shop}:amd64`)
  await crane('mutate', `${shop}:amd64`, '--set-platform', 'linux/arm64', '-t', `${shop}:arm64`)
  await crane('index', 'append', '-m', `${shop}:amd64`, '-m', `${shop}:arm64`, '-t', `${shop}:all`)
  await crane('pull', '--format=oci', `${shop}:all`, 'both')
  await crane('pull', `${shop}:amd64`, 'crane.tar')
  await crane('pull', '--format=legacy', `${shop}:amd64`, 'legacy.tar')
  for (const image of ['crane.tar', 'legacy.tar']) await readWhole(image)

  const both = [1, 2].flatMap((n) => EXPECTED.map(([path, ...rest]) => [`image-${n}/${String(path)}`, ...rest]))
  await readWhole('both', both)
  const { references } = await look('both')
  const platforms = references.map(({ location, facts }) => `${location.slice(0, 7)} ${String(facts?.['platform'])}`)
  assert.deepEqual([...new Set(platforms)].toSorted(), ['image-1 linux/amd64', 'image-2 linux/arm64'])

  const again = (to: string, which: string) =>
    skopeo('copy', '--src-tls-verify=false', `--multi-arch=${which}`, `docker://${shop}:all`, `oci:${to}:all`)
  await again('whole', 'all')
  await readWhole('whole', both)
  // A copy of the index alone names images that are not there.
  await again('named', 'index-only')
  const { report } = await look('named')
  assert.match(report instanceof Error ? report.message : 'no error', /there is no image/)
})
