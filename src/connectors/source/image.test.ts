import assert from 'node:assert/strict'
import { chmodSync, readdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { openParts } from './image-parts.ts'
import { overlaid, type Layer } from './layers.ts'
import {
  BAKED,
  byName,
  folderOf,
  imageOf,
  layoutOf,
  LOGGED,
  MOVED,
  put,
  reading,
  REMOVED,
  tar,
  TOKEN,
  type File,
} from './source.fixture.ts'
import { tarEntries } from './tar.ts'

test('layers are read in their order: what a later one covers, takes away or hides is in the image and not in its newest state', async (t) => {
  const file = (name: string, secret: string): File => ({ name, body: `T=${secret}\n` })
  const image = put(
    folderOf(t),
    'shop.tar',
    imageOf(
      [
        [
          file('app/kept.env', TOKEN),
          file('app/taken.env', REMOVED),
          file('etc/hid/x.env', BAKED),
          file('opt/y.env', LOGGED),
        ],
        [{ name: 'app/.wh.taken.env' }, { name: 'etc/hid/.wh..wh..opq' }, { name: 'app/', flag: '5' }],
        [{ name: './opt', flag: '2' }],
      ],
      { config: { Env: [`GITHUB_TOKEN=${MOVED}`] } },
    ),
  )

  const { references, reports } = await reading({ image })

  assert.deepEqual(reports.get('image'), { status: 'complete', missing: [] })
  assert.deepEqual(
    references.map(({ location, facts }) => [location, facts?.['isInNewest'], facts?.['firstLayer']]).toSorted(byName),
    [
      ['app/kept.env', true, 1],
      ['app/taken.env', false, 1],
      ['configuration of the image', true, undefined],
      ['etc/hid/x.env', false, 1],
      ['opt/y.env', false, 1],
    ],
  )
})

test('what docker saved before it wrote a layout is read by its own manifest', async (t) => {
  const layer = tar([{ name: 'app.env', body: `T=${TOKEN}\n` }])
  const manifest = JSON.stringify([{ Config: 'c.json', Layers: ['1/layer.tar'] }])
  const image = put(
    folderOf(t),
    'old.tar',
    tar([
      { name: '1/layer.tar', body: layer },
      { name: 'c.json', body: '{}' },
      { name: 'manifest.json', body: manifest },
    ]),
  )

  assert.deepEqual(
    (await reading({ image })).references.map(({ location }) => location),
    ['app.env'],
  )
})

test('a layer that another image has as well is read through the link that docker leaves in its place', async (t) => {
  const image = put(
    folderOf(t),
    'linked.tar',
    tar([
      { name: '1/layer.tar', body: tar([{ name: 'app.env', body: `T=${TOKEN}\n` }]) },
      { name: '2/layer.tar', flag: '2', link: '../1/layer.tar' },
      { name: 'c.json', body: '{}' },
      { name: 'manifest.json', body: JSON.stringify([{ Config: 'c.json', Layers: ['2/layer.tar'] }]) },
    ]),
  )

  const { references, reports } = await reading({ image })

  assert.deepEqual(reports.get('image'), { status: 'complete', missing: [] })
  assert.deepEqual(
    references.map(({ location }) => location),
    ['app.env'],
  )
})

test('a file that has a second name is still there when one of them is taken away, and gone when both are', async (t) => {
  const folder = folderOf(t)
  const first = [
    { name: 'a.env', body: `T=${TOKEN}\n` },
    { name: 'b.env', flag: '1', link: 'a.env' },
  ]
  const cases: [string, File[], string, boolean][] = [
    ['one', [{ name: '.wh.a.env' }], 'b.env', true],
    ['both', [{ name: '.wh.a.env' }, { name: '.wh.b.env' }], 'a.env', false],
  ]
  for (const [name, second, location, isInNewest] of cases) {
    const { references } = await reading({ image: put(folder, name, imageOf([first, second])) })
    assert.deepEqual(
      references.map((each) => [each.location, each.facts?.['isInNewest']]),
      [[location, isInNewest]],
    )
  }
})

test('a folder in the layout of OCI is read as the archive is, with what a build attached; an image that is only named makes it partial', async (t) => {
  const layers: File[][] = [[{ name: 'a.env', body: `T=${TOKEN}\n` }], [{ name: '.wh.a.env' }]]
  const config = { Env: [`GITHUB_TOKEN=${MOVED}`] }
  const attached = JSON.stringify({ args: { NPM: BAKED } })
  const asFolder = await reading({ image: layoutOf(folderOf(t), layers, config, undefined, { attached }) })
  const asFile = await reading({ image: put(folderOf(t), 'x', imageOf(layers, config, undefined, { attached })) })

  assert.deepEqual(asFolder.reports.get('image'), { status: 'complete', missing: [] })
  assert.deepEqual(asFolder.references, asFile.references)
  assert.deepEqual(
    asFolder.references.map(({ location, facts }) => [location, facts?.['isInNewest'], facts?.['platform']]),
    [
      ['a.env', false, 'linux/arm64'],
      ['attached to the image (3)', true, 'linux/arm64'],
      ['configuration of the image', true, 'linux/arm64'],
    ],
  )

  const sparse = layoutOf(folderOf(t), layers, {}, undefined, { absent: 'a'.repeat(64) })
  const report = (await reading({ image: sparse })).reports.get('image')
  assert.deepEqual(report instanceof Error ? report : [report?.status, report?.missing.map(({ why }) => why)], [
    'partial',
    ['the index names an image that is not there, or not one'],
  ])
})

test('a folder that says to be an image cannot have other files of the machine read', async (t) => {
  const outside = folderOf(t)
  put(outside, 'app.tar', tar([{ name: 'stolen.env', body: `T=${TOKEN}\n` }]))
  put(outside, 'c.json', '{}')
  const named = folderOf(t)
  const up = `../${outside.split('/').at(-1)}`
  put(named, 'manifest.json', JSON.stringify([{ Config: `${up}/c.json`, Layers: [`${up}/app.tar`] }]))
  const linked = layoutOf(folderOf(t), [[{ name: 'a.env', body: `T=${TOKEN}\n` }]])
  const blobs = join(linked, 'blobs', 'sha256')
  renameSync(blobs, join(outside, 'sha256'))
  symlinkSync(join(outside, 'sha256'), blobs)
  const single = layoutOf(folderOf(t), [[{ name: 'a.env', body: `T=${TOKEN}\n` }]])
  const held = folderOf(t)
  for (const name of readdirSync(join(single, 'blobs', 'sha256'))) {
    renameSync(join(single, 'blobs', 'sha256', name), join(held, name))
    symlinkSync(join(held, name), join(single, 'blobs', 'sha256', name))
  }
  for (const image of [named, linked, single]) {
    const { told, reports, references } = await reading({ image })
    const report = reports.get('image')
    assert.deepEqual([references.length, told.some(({ kind }) => kind === 'credential')], [0, false])
    assert.ok(report instanceof Error || report?.status === 'partial')
  }
})

test('a part of an image that may not be read is not said to be absent', async (t) => {
  const folder = folderOf(t)
  put(folder, 'layer.tar', 'x')
  await using parts = await openParts(folder)
  const bytesOf = (name: string) => parts.bytesOf({ name, sha256: undefined }, 10)
  const isRoot = process.geteuid?.() === 0
  chmodSync(join(folder, 'layer.tar'), 0)
  // Root reads whatever it likes.
  if (isRoot) process.seteuid?.('nobody')
  const denied = await bytesOf('layer.tar').finally(() => isRoot && process.seteuid?.(0))

  assert.equal(denied, 'a part of the image may not be read')
  assert.equal(await bytesOf('none.tar'), 'a part of the image is not there')
})

test('an image that was cut off, altered or is a bomb is partial, and one that is none is said to be none', async (t) => {
  const folder = folderOf(t)
  const whole = imageOf([[{ name: 'app.env', body: `T=${TOKEN}\n` }]])
  const bomb = zstdCompressSync(Buffer.alloc(600 * 1024 ** 2))
  const cases: [string, Buffer, RegExp][] = [
    ['altered', imageOf([[{ name: 'a', body: TOKEN }]], {}, (blob) => Buffer.concat([blob, Buffer.of(0)])), /digest/],
    ['cut', whole.subarray(0, whole.length - 2048), /cut off|not in the archive/],
    [
      'bomb',
      tar([
        { name: 'layer', body: bomb },
        { name: 'c', body: '{}' },
        { name: 'manifest.json', body: JSON.stringify([{ Config: 'c', Layers: ['layer'] }]) },
      ]),
      /unpacks to more/,
    ],
  ]
  for (const [name, bytes, why] of cases) {
    const report = (await reading({ image: put(folder, name, bytes) })).reports.get('image')
    const said = report instanceof Error ? report.message : JSON.stringify([report?.status, report?.missing])
    assert.ok(!said.startsWith('["complete'), name)
    assert.match(said, name === 'cut' ? /cut off|no image|not in the archive/ : why)
  }
  const none = (await reading({ image: put(folder, 'none', 'nothing') })).reports.get('image')
  assert.match(none instanceof Error ? none.message : '', /there is no image/)
})

test('whatever order layers have, a path stands exactly where replaying them leaves it', () => {
  const path = fc.constantFrom('a', 'a/b', 'a/b/c', 'a/d', 'e')
  const act = fc.oneof(
    fc.record({ do: fc.constant('put' as const), path }),
    fc.record({ do: fc.constant('take' as const), path }),
    fc.record({ do: fc.constant('hide' as const), path: fc.constantFrom('a', 'a/b') }),
  )
  fc.assert(
    fc.property(fc.array(act, { maxLength: 8 }), (acts) => {
      // One act a layer, so that the plain model below has no order inside of one.
      const layers: Layer[] = acts.map((each) => {
        const cut = each.path.lastIndexOf('/')
        const folder = cut < 0 ? '' : `${each.path.slice(0, cut)}/`
        const name =
          each.do === 'put'
            ? each.path
            : each.do === 'take'
              ? `${folder}.wh.${each.path.slice(cut + 1)}`
              : `${each.path}/.wh..wh..opq`
        return new Map([[name, 'file']])
      })
      const model = new Map<string, number>()
      for (const [at, { do: what, path: of }] of acts.entries()) {
        for (const name of model.keys()) {
          const isBelow = name.startsWith(`${of}/`)
          if (isBelow || (what === 'take' && name === of)) model.delete(name)
        }
        if (what === 'put') model.set(of, at)
      }
      const stands = overlaid(layers)
      for (const [at, { do: what, path: of }] of acts.entries()) {
        if (what === 'put') assert.equal(stands(at, of), model.get(of) === at, JSON.stringify([acts, at]))
      }
    }),
  )
})

test('whatever bytes are given for an archive, reading it ends', async () => {
  const whole = tar([
    { name: 'a', body: 'text' },
    { name: 'b/c', body: 'x'.repeat(700) },
  ])
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 5 }), async (edits) => {
      const bytes = Buffer.from(whole)
      for (const [at, byte] of edits) bytes[at] = byte
      const names: string[] = []
      for await (const { name, at, sizeBytes } of tarEntries(
        async (from, size) => bytes.subarray(from, from + size),
        bytes.length,
      )) {
        assert.ok(at + sizeBytes <= bytes.length)
        names.push(name)
      }
      assert.ok(names.length <= 2)
    }),
  )
})
