import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { askCorpus, type Ended } from './ask.ts'
import { readExact } from './exact.ts'

const Uid = z.object({ type: z.string(), id: z.string() })

/** A test as cedar-policy/cedar-integration-tests has them. */
const CorpusTest = z.object({
  policies: z.string(),
  entities: z.string(),
  schema: z.string(),
  requests: z.array(
    z.object({
      description: z.string(),
      principal: Uid,
      action: Uid,
      resource: Uid,
      context: z.unknown(),
      validateRequest: z.boolean().default(true),
      decision: z.enum(['allow', 'deny']),
      reason: z.array(z.string()),
      errors: z.array(z.string()),
    }),
  ),
})
export type CorpusTest = z.output<typeof CorpusTest>

const MAX_TOLD = 10

/** Runs every published test through the compiled engine and says how each request ended. */
export async function runCorpus(folder: string): Promise<void> {
  const unpacked = mkdtempSync(join(tmpdir(), 'cedar-corpus-'))
  try {
    const archive = join(folder, 'corpus-tests.tar.gz')
    if (existsSync(archive)) execFileSync('tar', ['xzf', archive, '-C', unpacked])
    const written = globSync('tests/**/*.json', { cwd: folder }).map((path) => ({ root: folder, path }))
    const corpus = globSync('corpus-tests/*.json', { cwd: unpacked })
      .filter((path) => !path.endsWith('.entities.json'))
      .map((path) => ({ root: unpacked, path }))
    report(folder, 'tests', written.flatMap(runTest))
    report(folder, 'corpus', corpus.flatMap(runTest))
  } finally {
    rmSync(unpacked, { recursive: true, force: true })
  }
}

type Outcome = { readonly path: string; readonly description: string; readonly ended: Ended }

function runTest({ root, path }: { root: string; path: string }): Outcome[] {
  const parsed = CorpusTest.parse(readExact(readFileSync(join(root, path), 'utf8')))
  const read = (file: string) => readFileSync(join(root, file), 'utf8')
  const files = { policies: read(parsed.policies), entities: read(parsed.entities), schema: read(parsed.schema) }
  const endings = askCorpus(parsed, files)
  return parsed.requests.map(({ description }, at) => ({
    path,
    description,
    ended: endings[at] ?? { kind: 'different', told: 'not asked' },
  }))
}

function report(folder: string, kind: string, outcomes: readonly Outcome[]): void {
  const counts = { equal: 0, 'fell back': 0, different: 0 }
  for (const { ended } of outcomes) counts[ended.kind] += 1
  const odd = outcomes.filter(({ ended }) => ended.kind === 'different')
  for (const { path, description, ended } of odd.slice(0, MAX_TOLD))
    console.error(`${join(folder, path)}: ${description}: ${ended.told}`)
  const why = new Map<string, number>()
  for (const { ended } of outcomes) if (ended.kind === 'fell back') why.set(ended.told, (why.get(ended.told) ?? 0) + 1)
  for (const [reason, count] of why) console.log(`fell back ${count} times: ${reason}`)
  const files = new Set(outcomes.map(({ path }) => path)).size
  console.log(`${kind}: ${files} files, ${outcomes.length} requests: ${JSON.stringify(counts)}`)
  console.log(`RESULT ${JSON.stringify({ conform: 'cedar', kind, files, requests: outcomes.length, ...counts })}`)
  if (odd.length > 0 || outcomes.length === 0) process.exitCode = 1
}
