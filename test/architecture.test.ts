import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join, posix } from 'node:path'
import { test } from 'node:test'
import { parseSync } from 'oxc-parser'

const ROOT = join(import.meta.dirname, '..')

const LOWER = [
  'kernel',
  'ledger',
  'identities',
  'catalog',
  'policy',
  'tokens',
  'login',
  'access',
  'credentials',
  'sessions',
] as const
const below = (folder: string) =>
  LOWER.slice(
    0,
    LOWER.findIndex((name) => name === folder),
  )

/** Which folders a folder may import, besides itself. A folder without a row may not exist. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(LOWER.map((folder) => [folder, below(folder)])),
  // Finds secrets in bytes; knows nothing of the record.
  scanner: ['kernel'],
  // Reads every domain; nobody imports it.
  governance: [...LOWER, 'inventory'],
  // Carries identities in and out of the record, with what hangs on them; nobody imports it.
  lifecycle: [...LOWER],
  gateways: [...LOWER, 'one gateway'],
  connectors: ['kernel', 'scanner', 'one connector'],
  // What connectors of forges have in common: their APIs and pipeline files.
  forge: ['kernel', 'connectors'],
  // What connectors saw: it knows their contract and none of them.
  inventory: ['kernel', 'ledger', 'identities', 'catalog', 'connectors'],
  // A single one knows its contract and the kernel: no domain's code, no sibling. Of credentials it reads the schema of its protocol's settings,
  // which whoever makes leases needs as well.
  'one gateway': ['kernel', 'gateways', 'credentials'],
  'one connector': ['kernel', 'scanner', 'connectors', 'forge', 'catalog', 'credentials'],
  // Runs on machines of others: of the product it knows what it asks the server, and nothing that has a database.
  agent: ['kernel', 'credentials'],
  cli: ['kernel', 'contracts', 'governance', 'inventory', 'lifecycle', ...LOWER.slice(1)],
  contracts: [...LOWER, 'governance', 'inventory', 'lifecycle'],
  server: [...LOWER, 'governance', 'inventory', 'lifecycle', 'gateways', 'connectors', 'one connector', 'contracts'],
  // What `reeve` starts: the command line, the server and the verifier side by side.
  program: ['kernel', 'server', 'cli', 'contracts', 'verifier', 'scanner', 'agent'],
  verifier: [],
}

/** Which files of a folder another folder may import; of the kernel all. */
function doorsOf(from: string, to: string): readonly string[] {
  if (from === 'one gateway') return to === 'gateways' ? ['gateway.ts'] : ['contract.ts']
  if (from === 'cli' || from === 'agent') return ['contract.ts']
  if (from === 'contracts') return ['contract.ts', 'events.ts']
  if (to === 'gateways') return ['contract.ts', 'gateway.ts', 'index.ts', 'host.ts']
  if (to === 'connectors') return ['contract.ts', 'connector.ts', 'index.ts']
  const ofTheRoot = from === 'server' ? ['events.ts', ...(to === 'ledger' ? ROOT_OPENS_OF_LEDGER : [])] : []
  return ['contract.ts', `${to}.ts`, ...ofTheRoot]
}

/** What runs once per node and is opened by the composition root alone. */
const ROOT_OPENS_OF_LEDGER = ['appender.ts', 'sequencer.ts']

/** Packages that one folder wraps, so that they can be replaced there. */
const WRAPPED: Readonly<Record<string, string>> = {
  fastify: 'kernel',
  'graphile-worker': 'kernel',
  pino: 'kernel',
  '@prometheus-io/client': 'kernel',
  '@cedar-policy/cedar-wasm': 'policy',
  'libpg-query': 'one gateway',
  commander: 'cli',
  koffi: 'kernel',
  jose: 'tokens',
  'openid-client': 'login',
  '@simplewebauthn/server': 'login',
}

type Import = { readonly to: string; readonly names: readonly string[] }
type Found = { readonly violations: string[]; readonly importsSeen: number }

/** The folder of the table that a file belongs to. */
function folderOf(path: string): string {
  const [top, first = '', second] = path.split('/')
  if (top === 'verifier') return 'verifier'
  if (top !== 'src') return 'outside'
  if (second === undefined) return { 'contracts.ts': 'contracts', 'reeve.ts': 'program' }[first] ?? 'server'
  const isInner = path.split('/').length > 3
  if (first === 'gateways' && isInner) return 'one gateway'
  if (first === 'connectors' && isInner) return second === 'forge' ? 'forge' : 'one connector'
  return first
}

function check(sources: ReadonlyMap<string, string>): Found {
  const violations: string[] = []
  let importsSeen = 0
  for (const [path, text] of sources) {
    if (/\.(test|fixture)\.ts$/.test(path)) continue
    const from = folderOf(path)
    if (!(from in MAY_IMPORT)) violations.push(`${path}: the folder ${from} has no row in the table`)
    for (const found of importsOf(path, text)) {
      importsSeen += 1
      violations.push(...judge(path, from, found).map((why) => `${path} imports ${found.to}: ${why}`))
    }
  }
  return { violations, importsSeen }
}

function judge(path: string, from: string, { to, names }: Import): string[] {
  if (!to.startsWith('.')) return judgePackage(from, to)
  const target = posix.join(posix.dirname(path), to)
  const into = folderOf(target)
  const why: string[] = []
  if (names.includes('mintPermit') && from !== 'policy') why.push('only policy mints permits')
  if (/\.(test|fixture)\.ts$/.test(target) || into === 'outside')
    return [...why, 'the product does not stand on tests or scripts']
  if (!target.endsWith('.ts')) why.push('relative imports end in .ts')
  if (into === from && unitOf(path) === unitOf(target)) return why
  if (into === from) return [...why, 'siblings do not know each other']
  if (!(MAY_IMPORT[from] ?? []).includes(into)) return [...why, `${from} may not import ${into}`]
  if (from === 'program' || into === 'kernel' || into === 'contracts' || into === 'forge' || into.startsWith('one '))
    return why
  const file = target.split('/').slice(2).join('/')
  if (!doorsOf(from, into).includes(file)) why.push(`across folders only ${doorsOf(from, into).join(' or ')}`)
  return why
}

function judgePackage(from: string, to: string): string[] {
  if (isBuiltin(to)) return to.startsWith('node:') ? [] : ['built-in modules are written node:…']
  if (from === 'verifier') return ['the verifier imports nothing of anybody']
  const name = to
    .split('/')
    .slice(0, to.startsWith('@') ? 2 : 1)
    .join('/')
  const wrapper = WRAPPED[name]
  return wrapper === undefined || wrapper === from ? [] : [`${name} is wrapped by ${wrapper}`]
}

/** One gateway is one unit; so is any other folder. */
function unitOf(path: string): string {
  const folder = folderOf(path)
  return folder.startsWith('one ') ? path.split('/').slice(0, 3).join('/') : folder
}

function importsOf(path: string, text: string): Import[] {
  const { module, errors, program } = parseSync(path, text)
  assert.deepEqual(errors, [], path)
  void program
  return [
    ...module.staticImports.map(({ moduleRequest, entries }) => ({
      to: moduleRequest.value,
      names: entries.map(({ importName }) => importName.name ?? '*'),
    })),
    ...module.staticExports
      .flatMap(({ entries }) => entries)
      .flatMap(({ moduleRequest, importName }) =>
        moduleRequest ? [{ to: moduleRequest.value, names: [importName.name ?? '*'] }] : [],
      ),
    ...module.dynamicImports.map(({ moduleRequest }) => ({
      to: text.slice(moduleRequest.start + 1, moduleRequest.end - 1),
      names: [],
    })),
  ]
}

const sourcesOfTheTree = new Map(
  globSync(['src/**/*.ts', 'verifier/**/*.ts'], { cwd: ROOT }).map((path) => [
    path,
    readFileSync(join(ROOT, path), 'utf8'),
  ]),
)

test('the tree keeps to the table of who may import whom', () => {
  const { violations, importsSeen } = check(sourcesOfTheTree)

  assert.deepEqual(violations, [])
  // A check that read nothing would find nothing.
  assert.ok(importsSeen > 500, `only ${importsSeen} imports were seen`)
})

/** Files that import each other, by whatever way round, types included: each circle as the names of its files. */
function circlesIn(sources: ReadonlyMap<string, string>): string[] {
  const to = new Map(
    [...sources].map(([path, text]) => [
      path,
      importsOf(path, text)
        .map((each) => posix.join(posix.dirname(path), each.to))
        .filter((target) => sources.has(target)),
    ]),
  )
  const reachedFrom = new Map(
    [...to.keys()].map((from) => {
      const reached = new Set<string>()
      const left = [...(to.get(from) ?? [])]
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        if (reached.has(next)) continue
        reached.add(next)
        left.push(...(to.get(next) ?? []))
      }
      return [from, reached]
    }),
  )
  const isBoth = (a: string, b: string) => reachedFrom.get(a)?.has(b) === true && reachedFrom.get(b)?.has(a) === true
  const circles = [...to.keys()].filter((path) => isBoth(path, path))
  return [
    ...new Set(
      circles.map((path) =>
        circles
          .filter((other) => isBoth(path, other))
          .toSorted()
          .join(' '),
      ),
    ),
  ]
}

test('no file stands on itself, not even by a type', () => {
  assert.deepEqual(circlesIn(sourcesOfTheTree), [])
})

test('planted: a circle of three is found, whoever begins it', () => {
  const sources = new Map([
    ['src/a/x.ts', `import type { Y } from './y.ts'`],
    ['src/a/y.ts', `export { z } from '../b/z.ts'`],
    ['src/b/z.ts', `await import('../a/x.ts')`],
    ['src/b/alone.ts', `import { z } from './z.ts'`],
  ])

  assert.deepEqual(circlesIn(sources), ['src/a/x.ts src/a/y.ts src/b/z.ts'])
})

const PLANTED: Readonly<Record<string, readonly [path: string, text: string, expected: RegExp]>> = {
  'a lower folder does not know a higher one': [
    'src/ledger/x.ts',
    `import { a } from '../access/access.ts'`,
    /ledger may not import access/,
  ],
  'kernel knows no domain': [
    'src/kernel/http/x.ts',
    `import type { A } from '../../ledger/ledger.ts'`,
    /kernel may not import ledger/,
  ],
  'an export counts as an import': [
    'src/kernel/x.ts',
    `export { a } from '../ledger/ledger.ts'`,
    /kernel may not import ledger/,
  ],
  'a dynamic import counts': ['src/kernel/x.ts', `await import('../ledger/ledger.ts')`, /kernel may not import ledger/],
  'across folders there are two doors': [
    'src/access/x.ts',
    `import { a } from '../catalog/records.ts'`,
    /only contract.ts or catalog.ts/,
  ],
  'only policy mints permits': [
    'src/access/x.ts',
    `import { mintPermit } from '../kernel/permit.ts'`,
    /only policy mints/,
  ],
  'renaming does not hide minting': [
    'src/access/x.ts',
    `import { mintPermit as a } from '../kernel/permit.ts'`,
    /only policy mints/,
  ],
  'passing it on does not hide minting': [
    'src/access/x.ts',
    `export { mintPermit as a } from '../kernel/permit.ts'`,
    /only policy mints/,
  ],
  'a gateway knows its contract only': ['src/gateways/ssh/x.ts', `import { a } from '../host.ts'`, /only gateway.ts/],
  'a gateway knows no domain': [
    'src/gateways/ssh/wire/x.ts',
    `import { a } from '../../../access/access.ts'`,
    /one gateway may not import access/,
  ],
  'of credentials a gateway reads the contract only': [
    'src/gateways/ssh/x.ts',
    `import { a } from '../../credentials/credentials.ts'`,
    /only contract.ts/,
  ],
  'only the composition root opens the parts of the ledger': [
    'src/access/x.ts',
    `import { a } from '../ledger/sequencer.ts'`,
    /only contract.ts or ledger.ts/,
  ],
  'a gateway knows no sibling': [
    'src/gateways/ssh/x.ts',
    `import { a } from '../postgres/gateway.ts'`,
    /siblings do not know/,
  ],
  'a connector knows no higher domain': [
    'src/connectors/ldap/x.ts',
    `import { a } from '../../sessions/sessions.ts'`,
    /one connector may not import sessions/,
  ],
  'the command line imports contracts only': [
    'src/cli/x.ts',
    `import { a } from '../access/access.ts'`,
    /only contract.ts/,
  ],
  'the program knows no domain': [
    'src/reeve.ts',
    `import { a } from './access/access.ts'`,
    /program may not import access/,
  ],
  'nobody stands on the program': [
    'src/server/x.ts',
    `import { a } from '../reeve.ts'`,
    /server may not import program/,
  ],
  'the verifier imports nothing of the rest': [
    'verifier/x.ts',
    `import { a } from '../src/kernel/crypto.ts'`,
    /verifier may not import kernel/,
  ],
  'the verifier imports no package': ['verifier/x.ts', `import { z } from 'zod'`, /imports nothing of anybody/],
  'a folder without a row fails': ['src/helpers/x.ts', ``, /has no row/],
  'the product does not stand on tests': [
    'src/kernel/x.ts',
    `import { a } from '../../test/support/setup.ts'`,
    /does not stand on tests/,
  ],
  'a wrapped package stays where it is': ['src/access/x.ts', `import { fastify } from 'fastify'`, /wrapped by kernel/],
  'built-in modules are named as such': ['src/kernel/x.ts', `import fs from 'fs'`, /written node:/],
  'relative imports end in .ts': ['src/kernel/x.ts', `import { a } from './clock'`, /end in \.ts/],
}

for (const [rule, [path, text, expected]] of Object.entries(PLANTED)) {
  test(`planted: ${rule}`, () => {
    const { violations } = check(new Map([[path, text]]))

    assert.equal(violations.length, 1)
    assert.match(violations[0] ?? '', expected)
  })
}

test('what the table allows is allowed', () => {
  const { violations, importsSeen } = check(
    new Map([
      [
        'src/policy/x.ts',
        `import { mintPermit } from '../kernel/permit.ts'\nimport { a } from '../catalog/contract.ts'`,
      ],
      [
        'src/gateways/ssh/wire/x.ts',
        `import { a } from '../gateway.ts'\nimport type { B } from '../../gateway.ts'\nimport { c } from '../../../kernel/db.ts'`,
      ],
      ['src/server.ts', `import { a } from './access/access.ts'\nimport { b } from './gateways/host.ts'`],
      ['src/access/x.test.ts', `import { a } from '../sessions/live.ts'`],
    ]),
  )

  assert.deepEqual([violations, importsSeen], [[], 7])
})

/** Names in a connector's own code by which it has what it is given to ask over HTTP with. */
const ASKS_OVER_HTTP =
  /\b(?:SourceHttp|HttpAsked)\b|\bgiven\.http\b|\{[^{}]*\bhttp\b[^{}]*\}(?:: Given\b|\s*=\s*given\b)/
const textsOf = (pattern: string) =>
  globSync(pattern, { cwd: ROOT }).map((file) => readFileSync(join(ROOT, file), 'utf8'))

test('every connector that asks over HTTP is put through the spoiled answers of its own source', () => {
  const names = [
    ...readFileSync(join(ROOT, 'src/connectors/index.ts'), 'utf8').matchAll(/'\.\/([\w-]+)\/connector\.ts'/g),
  ]
  const asking = names.flatMap(([, name = '']) => {
    const own = globSync(`src/connectors/${name}/*.ts`, { cwd: ROOT }).filter(
      (file) => !/\.(?:test|fixture)\.ts$/.test(file),
    )
    return own.some((file) => ASKS_OVER_HTTP.test(readFileSync(join(ROOT, file), 'utf8'))) ? [name] : []
  })
  const spared = asking.filter((name) =>
    [`src/connectors/${name}/*.test.ts`, `test/interop/connector-${name}.interop.ts`].every((pattern) =>
      textsOf(pattern).every((text) => !text.includes('Object.entries(HOSTILE)')),
    ),
  )

  assert.deepEqual(spared, [])
  assert.ok(['openbao', 'gitea', 'scim', 'mcp'].every((name) => asking.includes(name)) && !asking.includes('ldap'))
})
