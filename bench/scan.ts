/**
 * The scanner beside three others in one process: a regular expression per rule over the whole text, ripgrep with the same patterns, and secretlint. First what
 * is found of a labelled corpus, then how fast a tree is read; every contender in every round, medians.
 */
import { execFileSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { lintSource } from '@secretlint/core'
import { creator as preset } from '@secretlint/secretlint-rule-preset-recommend'
import { systemClock } from '../src/kernel/clock.ts'
import { fingerprintsUnder } from '../src/kernel/fingerprint.ts'
import { Secret } from '../src/kernel/secret.ts'
import { openEngine, type Match } from '../src/scanner/engine/engine.ts'
import { rules } from '../src/scanner/rules/rules.ts'
import { scan } from '../src/scanner/scanner.ts'
import { makeCorpus, type Labelled } from '../test/support/secrets/corpus.ts'

type File = { readonly path: string; readonly bytes: Buffer }
type Score = { readonly precision: number; readonly recall: number; readonly found: number; readonly wrong: number }
type Speed = { readonly name: string; readonly megabytesPerSecond: number; readonly found: number }

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      tree: { type: 'string', default: '.' },
      rounds: { type: 'string', default: '5' },
      seed: { type: 'string', default: '2026' },
      quick: { type: 'boolean', default: false },
    },
  })
  const corpus = makeCorpus(Number(values.seed), values.quick ? 1 : 4)
  const scores = { reeve: await scoreOf(corpus, ours), secretlint: await scoreOf(corpus, theirs) }
  console.log(
    `Corpus of ${corpus.length} files, ${corpus.filter(({ decoy }) => decoy === undefined).length} with a secret, ${rules.length} formats`,
  )
  console.table(scores)
  const files = [
    ...readTree(resolve(values.tree)),
    ...corpus.map(({ path, text }) => ({ path, bytes: Buffer.from(text) })),
  ]
  const bytes = files.reduce((all, file) => all + file.bytes.length, 0)
  console.log(`Tree of ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB, one thread`)
  const rounds = values.quick ? 1 : Number(values.rounds)
  const { speeds, same } = await speedsOf(files, bytes, rounds)
  console.table(speeds)
  console.log(same)
  console.log(`RESULT ${JSON.stringify({ scores, speeds, bytes, rules: rules.length, same })}`)
}

const fingerprints = fingerprintsUnder(new Secret(Buffer.alloc(32, 7)))

async function ours({ path, text }: Labelled): Promise<number[][]> {
  const source = { kind: 'bytes' as const, name: path, bytes: Buffer.from(text) }
  return (await Array.fromAsync(scan(source, { clock: systemClock, fingerprints }))).map(({ line, endLine }) => [
    line,
    endLine,
  ])
}

const config = { rules: [{ id: '@secretlint/secretlint-rule-preset-recommend', rule: preset }] }

async function lint({ path, text }: { path: string; text: string }) {
  const source = { content: text, filePath: path, ext: '.txt', contentType: 'text' as const }
  return (await lintSource({ source, options: { config, noPhysicFilePath: true } })).messages
}

async function theirs(file: Labelled): Promise<number[][]> {
  return (await lint(file)).map(({ loc }) => [loc.start.line, loc.end.line])
}

/** A secret is found if any line of it is; a finding is right if any line of it holds one. */
async function scoreOf(corpus: readonly Labelled[], find: (file: Labelled) => Promise<number[][]>): Promise<Score> {
  let [secrets, found, findings, wrong] = [0, 0, 0, 0]
  for (const file of corpus) {
    const places = await find(file)
    const lines = [...file.secretLines.keys()]
    const right = places.filter(([from = 0, to = 0]) => lines.some((line) => line >= from && line <= to))
    findings += places.length
    wrong += places.length - right.length
    if (lines.length > 0) secrets += 1
    if (right.length > 0) found += 1
  }
  const share = (part: number, whole: number) => Math.round((1000 * part) / Math.max(1, whole)) / 1000
  return { precision: share(findings - wrong, findings), recall: share(found, secrets), found, wrong }
}

/** Text of a tree, its dependencies with it, up to what is comfortable to hold. */
function readTree(root: string): File[] {
  const files: File[] = []
  let left = 48_000_000
  for (const path of globSync('**/*.{ts,js,mjs,cjs,json,md,yaml,yml,sql,py,go,java,c,h,rs,txt}', {
    cwd: root,
  }).toSorted()) {
    const absolute = join(root, path)
    const stat = statSync(absolute, { throwIfNoEntry: false })
    if (!stat?.isFile() || stat.size > 2_000_000 || stat.size > left) continue
    left -= stat.size
    files.push({ path, bytes: readFileSync(absolute) })
  }
  return files
}

const engine = openEngine(rules)
const now = new Date()

/** Known formats only: what is assigned to a name is no pattern that the others could be given. */
const findAll = (files: readonly File[]): Match[] =>
  files.flatMap(({ path, bytes }) => engine.find(bytes, { path, now, withNames: false }))

/** What a scanner without a prefilter does: each rule's pattern over the whole text; what it finds goes through the same checks. */
const patterns = rules.map((rule) => ({
  rule,
  pattern: new RegExp(`${rule.before ? `(?:${rule.before.source})` : ''}${rule.pattern.source}`, 'g'),
}))

function findEach(files: readonly File[]): Match[] {
  const found: Match[] = []
  for (const { path, bytes } of files) {
    const text = bytes.toString('latin1')
    for (const { rule, pattern } of patterns) {
      if (rule.files && !rule.files.test(path)) continue
      for (const { index, 0: whole } of text.matchAll(pattern)) {
        const around = bytes.subarray(Math.max(0, index - 64), index + whole.length + 64)
        found.push(...engine.find(around, { path, now, withNames: false }).filter((match) => match.rule === rule.id))
      }
    }
  }
  return found
}

async function speedsOf(
  files: readonly File[],
  bytes: number,
  rounds: number,
): Promise<{ speeds: Speed[]; same: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-bench-'))
  try {
    files.forEach(({ path, bytes: content }) => {
      mkdirSync(dirname(join(folder, 'tree', path)), { recursive: true })
      writeFileSync(join(folder, 'tree', path), content)
    })
    const rg = ripgrep(folder)
    const contenders: [string, () => number | Promise<number>][] = [
      ['reeve, in memory', () => findAll(files).length],
      ['reeve, from disk', () => fromDisk(join(folder, 'tree'))],
      ...(rg ? [['ripgrep -j1, same patterns, from disk', rg] as [string, () => number]] : []),
      ['one regex per rule, in memory', () => findEach(files).length],
      ['secretlint preset, in memory', () => lintAll(files)],
    ]
    const times = new Map<string, number[]>()
    const found = new Map<string, number>()
    for (let round = 0; round < rounds; round += 1) {
      for (const [name, find] of contenders) {
        const from = performance.now()
        found.set(name, await find())
        times.set(name, [...(times.get(name) ?? []), performance.now() - from])
      }
    }
    const speeds = contenders.map(([name]) => {
      const sorted = (times.get(name) ?? []).toSorted((a, b) => a - b)
      const median = sorted[Math.floor(sorted.length / 2)] ?? Infinity
      return { name, megabytesPerSecond: Math.round(bytes / 100 / median) / 10, found: found.get(name) ?? 0 }
    })
    return { speeds, same: compared(files) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether both ways find the same secrets. */
function compared(files: readonly File[]): string {
  const secrets = (found: readonly Match[]) => new Set(found.map(({ secret }) => secret))
  const [a, b] = [secrets(findAll(files)), secrets(findEach(files))]
  const [onlyHere, onlyThere] = [[...a].filter((one) => !b.has(one)), [...b].filter((one) => !a.has(one))]
  return `Behind the prefilter ${a.size} secrets, by one regex per rule ${b.size}; only here ${onlyHere.length}, only there ${onlyThere.length}`
}

async function fromDisk(root: string): Promise<number> {
  let found = 0
  for await (const _ of scan({ kind: 'tree', root }, { clock: systemClock, fingerprints, withNames: false })) found += 1
  return found
}

async function lintAll(files: readonly File[]): Promise<number> {
  let found = 0
  for (const { path, bytes } of files) found += (await lint({ path, text: bytes.toString('utf8') })).length
  return found
}

/** The same patterns in ripgrep's own syntax, one thread, nothing left out. Nothing where it is not installed. */
function ripgrep(folder: string): (() => number) | undefined {
  const list = join(folder, 'patterns')
  const lines = patterns
    // Without its multi-line mode, which would slow it down, it refuses a pattern that names a newline.
    .filter(({ rule }) => !rule.files && !rule.pattern.source.includes(String.raw`\n`))
    .map(({ pattern }) =>
      pattern.source
        .replaceAll('(?<s>', '(')
        .replaceAll('[^]', '(?s:.)')
        // What needs no escape may not have one there.
        .replaceAll(/\\([^])/g, (escaped, character: string) =>
          '/"\'`#<>~@%&=: '.includes(character) ? character : escaped,
        ),
    )
  writeFileSync(list, lines.join('\n'))
  const limits = ['--regex-size-limit=2G', '--dfa-size-limit=2G']
  const args = [
    '-j1',
    '-uuu',
    '-a',
    '--no-config',
    '--count-matches',
    '--no-filename',
    ...limits,
    '-f',
    list,
    join(folder, 'tree'),
  ]
  const count = () => {
    const output = execFileSync('rg', args, { encoding: 'utf8', maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'pipe'] })
    return output.split('\n').reduce((all, line) => all + Number(line), 0)
  }
  try {
    count()
    return count
  } catch (error) {
    console.log(
      `ripgrep is left out: ${error instanceof Error ? error.message.trim().split('\n').slice(-2).join(' ').slice(-400) : 'it failed'}`,
    )
    return undefined
  }
}
