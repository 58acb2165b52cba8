/**
 * The scanner beside three others: a regular expression per rule over the whole text, ripgrep with the same patterns, and secretlint. First what is found of a
 * labelled corpus, then how fast a tree is read, in memory and from disk; each contender warm, in several rounds, medians, by the clock and in seconds of
 * processors. With --history a repository is read instead, object by object.
 */
import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
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
type Speed = {
  readonly name: string
  readonly megabytesPerSecond: number
  readonly megabytesPerCpuSecond: number
  readonly found: number
}

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      tree: { type: 'string', default: '.' },
      rounds: { type: 'string', default: '5' },
      seed: { type: 'string', default: '2026' },
      quick: { type: 'boolean', default: false },
      history: { type: 'string' },
    },
  })
  if (values.history !== undefined) return readHistory(resolve(values.history))
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

/** Every object of a repository, in this process and git's. */
async function readHistory(repository: string): Promise<void> {
  const from = { at: performance.now(), cpu: cpuSeconds() }
  const found = new Map<string, number>()
  const scanning = scan({ kind: 'history', repository }, { clock: systemClock, fingerprints })
  let step = await scanning.next()
  for (; step.done !== true; step = await scanning.next()) {
    found.set(step.value.rule, (found.get(step.value.rule) ?? 0) + 1)
  }
  const { files, bytes, unreadCount } = step.value
  const [seconds, cpu] = [(performance.now() - from.at) / 1000, cpuSeconds() - from.cpu]
  const mostMegabytes = Math.round(process.resourceUsage().maxRSS / 1000)
  const rounded = (value: number) => Math.round(value * 10) / 10
  const result = {
    objects: files,
    megabytes: rounded(bytes / 1e6),
    seconds: rounded(seconds),
    cpuSeconds: rounded(cpu),
    megabytesPerSecond: rounded(bytes / 1e6 / seconds),
    mostMegabytes,
    unreadCount,
  }
  console.table(result)
  console.table(Object.fromEntries([...found].toSorted((a, b) => b[1] - a[1])))
  console.log(`RESULT ${JSON.stringify({ history: result, found: Object.fromEntries(found) })}`)
}

/** Of this process; programs that it starts are asked for their own. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
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
    const tree = join(folder, 'tree')
    const contenders: [string, () => Timed | Promise<Timed>][] = [
      ['reeve, in memory', () => here(() => findAll(files).length)],
      ['one regex per rule, in memory', () => here(() => findEach(files).length)],
      ['reeve, from disk, known formats', () => here(() => fromDisk(tree))],
      ['reeve scan as a command, from disk, its start in it', () => reeveScan(tree)],
      ...(rg ? [['ripgrep -j1, same patterns, from disk', rg] as [string, () => Timed]] : []),
      // Last: it keeps a note of each rule and file for as long as the process lives, and what runs beside them pays for it.
      ['secretlint preset, in memory', () => here(() => lintAll(files))],
      ['secretlint preset, from disk, already started', () => here(() => lintTree(tree, files))],
    ]
    const times = new Map<string, Timed[]>()
    for (const [name, find] of contenders) {
      await warm(find)
      const all: Timed[] = []
      for (let round = 0; round < rounds; round += 1) all.push(await find())
      times.set(name, all)
    }
    const speeds = contenders.map(([name]) => {
      const all = times.get(name) ?? []
      const middle = (values: readonly number[]) =>
        values.toSorted((x, y) => x - y)[Math.floor(values.length / 2)] ?? Infinity
      const perSecond = (seconds: number) => Math.round(bytes / 1e5 / seconds) / 10
      return {
        name,
        megabytesPerSecond: perSecond(middle(all.map(({ seconds }) => seconds))),
        megabytesPerCpuSecond: perSecond(middle(all.map(({ cpuSeconds: cpu }) => cpu))),
        found: all.at(-1)?.found ?? 0,
      }
    })
    return { speeds, same: compared(files) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

type Timed = { readonly seconds: number; readonly cpuSeconds: number; readonly found: number }

/** What a compiler at run time makes of a program takes time and not rounds: each has run for this long before it is measured, and at least once. */
const WARM_MS = 1000

async function warm(find: () => Timed | Promise<Timed>): Promise<void> {
  const until = performance.now() + WARM_MS
  do await find()
  while (performance.now() < until)
}

async function here(find: () => number | Promise<number>): Promise<Timed> {
  const [from, cpu] = [performance.now(), cpuSeconds()]
  const found = await find()
  return { seconds: (performance.now() - from) / 1000, cpuSeconds: cpuSeconds() - cpu, found }
}

/** A program as its user starts it; the shell says what its processor time was. */
function there(program: string, args: readonly string[], count: (output: string) => number): Timed {
  const from = performance.now()
  const script = '"$0" "$@"; times'
  const { stdout, stderr } = spawnSync('sh', ['-c', script, program, ...args], { encoding: 'utf8', maxBuffer: 1e9 })
  const seconds = (performance.now() - from) / 1000
  // POSIX times: the shell's own line, then that of what it started.
  const spent = /\n(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/.exec(stdout)
  if (!spent) throw new Error(`${program} failed: ${stderr.trim().split('\n').slice(-2).join(' ').slice(-400)}`)
  const [, minutes, rest, systemMinutes, systemRest] = spent.map(Number)
  const cpu = 60 * ((minutes ?? 0) + (systemMinutes ?? 0)) + (rest ?? 0) + (systemRest ?? 0)
  return {
    seconds,
    cpuSeconds: cpu,
    found: count(stdout.replace(/(?:\d+m[\d.]+s ?){2}\n(?:\d+m[\d.]+s ?){2}\s*$/, '')),
  }
}

function reeveScan(tree: string): Timed {
  const reeve = join(import.meta.dirname, '../bin/reeve.js')
  return there(process.execPath, [reeve, 'scan', tree, '--no-names', '--format', 'json'], (output) => {
    const report: unknown = JSON.parse(output)
    const has = typeof report === 'object' && report !== null && 'findings' in report && Array.isArray(report.findings)
    return has && Array.isArray(report.findings) ? report.findings.length : 0
  })
}

/** As secretlint's own command does it for each file: read, then its core. */
async function lintTree(tree: string, files: readonly File[]): Promise<number> {
  let found = 0
  for (const { path } of files) found += (await lint({ path, text: await readFile(join(tree, path), 'utf8') })).length
  return found
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
function ripgrep(folder: string): (() => Timed) | undefined {
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
  const count = () => there('rg', args, (output) => output.split('\n').reduce((all, line) => all + Number(line), 0))
  const tried = spawnSync('rg', args, { encoding: 'utf8', maxBuffer: 1e9 })
  if (tried.error === undefined && tried.status !== 2) return count
  console.log(
    `ripgrep is left out: ${tried.error?.message ?? tried.stderr.trim().split('\n').slice(-2).join(' ').slice(-400)}`,
  )
  return undefined
}
