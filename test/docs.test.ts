import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { connectors } from '../src/connectors/index.ts'
import { hasTest } from './support/named-tests.ts'

const ROOT = join(import.meta.dirname, '..')
const pages = globSync('**/*.md', {
  cwd: ROOT,
  exclude: (path) => /(^|\/)(node_modules|dist|\.[a-z]+)(\/|$)/.test(path),
})

type Link = { readonly page: string; readonly text: string; readonly to: string }

/** Links to files of the tree; what stands in code is no link. */
function linksOf(page: string, markdown: string): Link[] {
  const prose = markdown
    .replaceAll(/^```[\s\S]*?^```/gm, '')
    .replaceAll(/`[^`\n]*`/g, (code) => code.replaceAll(/[[\]]/g, ''))
  return [...prose.matchAll(/\[([^\]]+)\]\(([^)\s]+)\)/g)]
    .map(([, text = '', to = '']) => ({ page, text, to }))
    .filter(({ to }) => !/^[a-z]+:/.test(to))
}

/** Headings as anchors, by the rule of the forges: lower case, no punctuation, dashes for blanks. */
function anchorsOf(markdown: string): Set<string> {
  const headings = [...markdown.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

function faultIn({ page, to }: Link): string | undefined {
  const [file = '', anchor] = to.split('#')
  const path = file === '' ? join(ROOT, page) : join(ROOT, dirname(page), file)
  if (!existsSync(path)) return `${page} links to ${to}, which is not there`
  if (anchor === undefined || statSync(path).isDirectory()) return undefined
  return anchorsOf(readFileSync(path, 'utf8')).has(anchor)
    ? undefined
    : `${page} links to ${to}, and there is no such heading`
}

const read = (page: string) => readFileSync(join(ROOT, page), 'utf8')

test('every link between pages and into the tree resolves', () => {
  const links = pages.flatMap((page) => linksOf(page, read(page)))

  assert.ok(links.length > 50, 'too few links were seen for this to have looked')
  assert.deepEqual(links.map(faultIn).filter(Boolean), [])
})

test('a link that leads nowhere is found', () => {
  const planted = linksOf(
    'README.md',
    'See [this](docs/nowhere.md), [that](docs/architecture.md#nothing) and `[no](link.md)`.',
  )

  assert.deepEqual(planted.map(faultIn).filter(Boolean).length, 2)
})

/** The numbered rules of the architecture page, each with the links in it. */
function rulesOf(markdown: string): { readonly rule: string; readonly links: Link[] }[] {
  const [, section = ''] = /^## Rules\n([\s\S]*?)^## /m.exec(markdown) ?? []
  return section
    .split(/^(?=\d+\. )/m)
    .slice(1)
    .map((text) => ({ rule: text.split('\n', 1)[0] ?? '', links: linksOf('docs/architecture.md', text) }))
}

function isTest({ text, to }: Link): boolean {
  return hasTest(join('docs', to), text)
}

test('every rule names tests that exist, by their names', () => {
  const rules = rulesOf(read('docs/architecture.md'))

  assert.equal(rules.length, 14)
  assert.deepEqual(
    rules.filter(({ links }) => links.length === 0).map(({ rule }) => rule),
    [],
  )
  assert.deepEqual(
    rules.flatMap(({ links }) => links.filter((link) => !isTest(link)).map(({ text }) => text)),
    [],
  )
})

test('a rule that cites a test under another name is found', () => {
  const link = { page: 'docs/architecture.md', to: '../test/docs.test.ts' }

  assert.ok(isTest({ ...link, text: 'a rule that cites a test under another name is found' }))
  assert.ok(!isTest({ ...link, text: 'a rule that cites a test' }))
})

test('every folder of the source stands in the code map', () => {
  const map = read('docs/architecture.md')
  const folders = globSync('src/*/', { cwd: ROOT }).map((path) => path.replaceAll(/^src\/|\/$/g, ''))

  assert.deepEqual(
    folders.filter((folder) => !map.includes(`\`src/${folder}/\``)),
    [],
  )
})

test('every gateway has a page', () => {
  const gateways = globSync('src/gateways/*/gateway.ts', { cwd: ROOT }).map((path) => path.split('/')[2])

  assert.ok(gateways.length > 0)
  assert.deepEqual(
    gateways.filter((protocol) => !existsSync(join(ROOT, `docs/gateways/${protocol}.md`))),
    [],
  )
})

const Manifest = z.object({
  dependencies: z.record(z.string(), z.string()),
  optionalDependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
})

test('every dependency has its line, and no line is about one that is gone', () => {
  const manifest = Manifest.parse(JSON.parse(read('package.json')))
  const sections = read('docs/decisions/dependencies.md').split(/^## /m).slice(1)

  const lines = sections.map((section) => [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name))

  assert.deepEqual(
    lines.map((names) => names.toSorted()),
    Object.values(manifest).map((group) => Object.keys(group).toSorted()),
  )
})

test('decisions are numbered without gaps, one page each, and say what would change them', () => {
  const records = globSync('docs/decisions/[0-9]*.md', { cwd: ROOT }).toSorted()

  assert.deepEqual(
    records.map((path) => path.split('/')[2]?.slice(0, 4)),
    records.map((_, at) => String(at + 1).padStart(4, '0')),
  )
  for (const record of records) {
    const text = read(record)
    for (const part of ['Context', 'Decision', 'Rejected', 'What would change our mind']) {
      assert.ok(text.includes(`**${part}.**`), `${record} has no “${part}”`)
    }
    assert.ok(text.split(/\s+/).length < 450, `${record} is longer than a page`)
  }
})

test('every connector has its page, with the permissions of each scope, what it cannot see and what it was verified on', () => {
  for (const { manifest } of connectors) {
    const page = read(`docs/connectors/${manifest.id}.md`)

    for (const { scope } of manifest.reads)
      assert.ok(page.includes(`\`${scope.replace('*', '')}`), `${manifest.id}: ${scope}`)
    for (const heading of ['## What it cannot see', '## What is kept', '## Verified on'])
      assert.ok(page.includes(heading), heading)
  }
  assert.ok(connectors.length > 0)
})
