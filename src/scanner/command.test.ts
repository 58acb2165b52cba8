import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { crcSample, maker, seeded } from '../../test/support/secrets/samples.ts'
import { fingerprintsUnder } from '../kernel/fingerprint.ts'
import { Secret } from '../kernel/secret.ts'
import { runScan, type ScanRequest } from './command.ts'
import { Finding } from './contract.ts'
import { importFindings } from './report/import.ts'

const make = maker(seeded(5))
const TOKEN = crcSample(make, 'ghp_')
const OTHER = crcSample(make, 'ghp_')
const KEY = Buffer.alloc(32, 9)
const fingerprints = fingerprintsUnder(new Secret(KEY))

function place(t: TestContext, files: Readonly<Record<string, string | Buffer>> = {}) {
  const root = mkdtempSync(join(tmpdir(), 'reeve-scan-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, content] of Object.entries({ key: KEY, ...files })) writeFileSync(join(root, path), content)
  return (path: string) => join(root, path)
}

async function run(request: Partial<ScanRequest>) {
  let text = ''
  const told: string[] = []
  const exit = await runScan(
    { sources: [], imports: [], format: 'json', workingFolder: '/nowhere', version: '1.2.3', ...request },
    { report: (part) => (text += part), tell: (sentence) => told.push(sentence) },
  )
  return { exit, text, told: told.join('\n') }
}

const Report = z.object({ findings: z.array(Finding), summary: z.object({ unreadCount: z.int() }) })
const source = (text: string, name = 'a.txt') => ({ kind: 'bytes' as const, name, bytes: Buffer.from(text) })

test('it ends with 0 for nothing, 1 for something, 2 when it could not look, and says under which key fingerprints are', async (t) => {
  const at = place(t)

  assert.equal((await run({ sources: [source('nothing')] })).exit, 0)
  const found = await run({ sources: [source(TOKEN)] })
  assert.equal(found.exit, 1)
  assert.match(found.told, /a key of this run only/)
  assert.doesNotMatch((await run({ sources: [source(TOKEN)], keyFile: at('key') })).told, /this run/)
  assert.deepEqual((await run({ sources: [{ kind: 'history', repository: at('') }] })).exit, 2)
  assert.match((await run({ keyFile: at('short') })).told, /ENOENT/)
  writeFileSync(at('short'), 'too short')
  const short = await run({ sources: [source(TOKEN)], keyFile: at('short') })
  assert.deepEqual([short.exit, short.text], [2, ''])
  assert.match(short.told, /between 32 and 4096/)
})

test('no format holds the secret, and a hostile path moves no cursor and breaks no row', async () => {
  for (const format of ['table', 'json', 'sarif'] as const) {
    const { text } = await run({ format, sources: [source(`x ${TOKEN} "${TOKEN}"`, 'a\u001b[2J\n=cmd|\u202e.txt')] })

    assert.ok(text.includes('github-token'))
    assert.ok(!text.includes(TOKEN.slice(4, -2)), format)
    assert.ok(!/(?!\n)[\p{Cc}\p{Cf}]/u.test(format === 'table' ? text : ''), format)
  }
})

test('SARIF has the parts that the schema of 2.1.0 requires, points at each rule, and says what was not read', async () => {
  const { text } = await run({
    format: 'sarif',
    sources: [source(`a\n  ${TOKEN}\n`, 'src/a b.txt'), { kind: 'tree', root: '/nowhere/at/all' }],
  })
  const Message = z.object({ text: z.string().min(1) })
  const Location = z.object({
    physicalLocation: z.object({
      artifactLocation: z.object({ uri: z.string().regex(/^[^\s]+$/) }),
      region: z
        .object({
          startLine: z.int().min(1),
          startColumn: z.int().min(1),
          endLine: z.int().min(1),
          endColumn: z.int().min(1),
        })
        .optional(),
    }),
  })
  const Sarif = z.object({
    $schema: z.url(),
    version: z.literal('2.1.0'),
    runs: z
      .array(
        z.object({
          tool: z.object({
            driver: z.object({
              name: z.string(),
              version: z.string(),
              rules: z.array(z.object({ id: z.string(), shortDescription: Message })),
            }),
          }),
          columnKind: z.enum(['utf16CodeUnits', 'unicodeCodePoints']),
          invocations: z.array(
            z.object({
              executionSuccessful: z.boolean(),
              toolExecutionNotifications: z.array(
                z.object({
                  level: z.enum(['none', 'note', 'warning', 'error']),
                  message: Message,
                  locations: z.array(Location),
                }),
              ),
            }),
          ),
          results: z.array(
            z.object({
              ruleId: z.string(),
              ruleIndex: z.int().min(0),
              level: z.enum(['none', 'note', 'warning', 'error']),
              message: Message,
              locations: z.array(Location).min(1),
              partialFingerprints: z.record(z.string(), z.string()),
            }),
          ),
        }),
      )
      .length(1),
  })

  const [one] = Sarif.parse(JSON.parse(text)).runs
  const [result] = one?.results ?? []
  assert.equal(one?.tool.driver.rules[result?.ruleIndex ?? -1]?.id, 'github-token')
  assert.deepEqual(result?.locations[0]?.physicalLocation, {
    artifactLocation: { uri: 'src/a%20b.txt' },
    region: { startLine: 2, startColumn: 3, endLine: 2, endColumn: 43 },
  })
  assert.equal(one?.invocations[0]?.toolExecutionNotifications[0]?.message.text, 'Not read: it is not there')
})

test('against a baseline only what is new counts, what is gone is told, and another key’s baseline is refused', async (t) => {
  const at = place(t)
  const keyFile = at('key')
  const [sources, baselineFile] = [[source(`${TOKEN}\n${OTHER}`)], at('known.json')]
  const written = await run({ sources, keyFile, writeBaselineTo: baselineFile })

  assert.equal(written.exit, 0)
  assert.ok(!readFileSync(baselineFile, 'utf8').includes(TOKEN.slice(4, 12)))
  assert.equal((await run({ sources, keyFile, baselineFile })).exit, 0)
  const moved = await run({ sources: [source(`\n\n${TOKEN}`), source(OTHER, 'b.txt')], keyFile, baselineFile })
  assert.deepEqual([moved.exit, Report.parse(JSON.parse(moved.text)).findings.map(({ path }) => path)], [1, ['b.txt']])
  assert.match(moved.told, /1 of the baseline are gone[^]*gone: github-token "a.txt"/)
  writeFileSync(at('other'), Buffer.alloc(32, 1))
  assert.match((await run({ sources, keyFile: at('other'), baselineFile })).told, /under another key/)
  assert.match((await run({ sources, baselineFile })).told, /needs --key-file/)
})

test('the allow-list of the working folder is read, but for a push, and one with unknown keys ends the run', async (t) => {
  const at = place(t, { '.reeve-scan.yaml': 'allow: [{ reason: sample, rule: github-token }]' })
  const workingFolder = at('')

  assert.equal((await run({ sources: [source(TOKEN)], workingFolder })).exit, 0)
  writeFileSync(at('.reeve-scan.yaml'), 'allow: [{ reason: sample, rules: github-token }]')
  const refused = await run({ sources: [source(TOKEN)], workingFolder })
  assert.equal(refused.exit, 2)
  assert.match(refused.told, /no allow-list/)
})

test('attack: what another scanner hid has no fingerprint, a path in SARIF is the path of the file, and snippets of others stay out', async (t) => {
  const gitleaks = (Secret: string) => ({ RuleID: 'github-pat', File: 'a.env', Secret, StartLine: 1 })
  const result = (uri: string, text: string, more: object = {}) => ({
    ruleId: 'github-pat',
    message: { text: 'm' },
    locations: [{ physicalLocation: { artifactLocation: { uri }, region: { startLine: 2, snippet: { text } } } }],
    ...more,
  })
  const sarif = (name: string, results: readonly object[]) =>
    JSON.stringify({ version: '2.1.0', runs: [{ tool: { driver: { name } }, results }] })
  const commit = { commitSha: 'c0ffee', author: 'Ana', email: 'ana@orders.dev', date: '2026-01-01T00:00:00Z' }
  const at = place(t, {
    hidden: JSON.stringify([gitleaks('REDACTED'), gitleaks(`${TOKEN.slice(0, 20)}...`)]),
    theirs: sarif('gitleaks', [
      result('dir with space/ü/=b%41.txt', TOKEN, { partialFingerprints: commit }),
      result('a.env', 'REDACTED', { partialFingerprints: commit }),
    ]),
    others: sarif('Other', [
      result('src/a%20b%C3%BC.txt', `x = ${TOKEN}`, { partialFingerprints: { 'primary/v1': 7 } }),
      result('file:///srv/%E0%A4%A.txt', 'x'),
      result('file:///srv/a.txt', 'x'),
    ]),
  })
  const read = async (name: string) => {
    const { text } = await run({ imports: [at(name)], keyFile: at('key') })
    assert.ok(!text.includes(TOKEN.slice(4, -2)), name)
    return Report.parse(JSON.parse(text)).findings
  }
  const [hidden, theirs, others] = [await read('hidden'), await read('theirs'), await read('others')]

  assert.deepEqual(
    hidden.map(({ fingerprint, preview }) => [fingerprint, preview]),
    [
      [null, '••••'],
      [null, '••••'],
    ],
  )
  assert.deepEqual(
    theirs.map(({ path, commit: of, author, fingerprint }) => [path, of, author, fingerprint?.value]),
    [
      ['dir with space/ü/=b%41.txt', 'c0ffee', 'Ana <ana@orders.dev>', fingerprints.of(new Secret(TOKEN)).value],
      ['a.env', 'c0ffee', 'Ana <ana@orders.dev>', undefined],
    ],
  )
  assert.deepEqual(
    others.map(({ path, fingerprint }) => [path, fingerprint]),
    [
      ['src/a bü.txt', null],
      ['file:///srv/%E0%A4%A.txt', null],
      ['/srv/a.txt', null],
    ],
  )
})

test('reports of gitleaks, TruffleHog and SARIF become findings of the same shape, and their secrets fingerprints', async (t) => {
  const gitleaks = [
    {
      RuleID: 'github-pat',
      Description: 'A token',
      File: 'a.env',
      Secret: TOKEN,
      StartLine: 3,
      EndLine: 3,
      StartColumn: 5,
      EndColumn: 44,
      Commit: 'c0ffee',
      Author: 'Ana',
      Email: 'ana@orders.dev',
      Date: '2026-01-01T00:00:00Z',
      Tags: [],
    },
  ]
  const trufflehog = {
    SourceMetadata: {
      Data: { Git: { commit: 'c0ffee', file: 'b.env', email: 'ana@orders.dev', line: 7, timestamp: '2026-01-01' } },
    },
    DetectorName: 'Github',
    Verified: true,
    Raw: OTHER,
    RawV2: '',
  }
  const sarif = {
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'Other' } },
        results: [
          {
            ruleId: 'X1',
            message: { text: 'm' },
            locations: [{ physicalLocation: { artifactLocation: { uri: 'c.env' }, region: { startLine: 9 } } }],
          },
        ],
      },
    ],
  }
  const at = place(t, {
    g: JSON.stringify(gitleaks),
    t: `${JSON.stringify(trufflehog)}\n${JSON.stringify(trufflehog)}\n`,
    s: JSON.stringify(sarif),
    n: '{"what":1}',
  })

  const { exit, text } = await run({ imports: [at('g'), at('t'), at('s')], keyFile: at('key') })

  const { findings } = Report.parse(JSON.parse(text))
  assert.equal(exit, 1)
  assert.deepEqual(
    findings.map(({ importedFrom, rule, path, line, validity, fingerprint }) => [
      importedFrom,
      rule,
      path,
      line,
      validity,
      fingerprint?.value,
    ]),
    [
      ['gitleaks', 'github-pat', 'a.env', 3, 'unknown', fingerprints.of(new Secret(TOKEN)).value],
      ['trufflehog', 'github', 'b.env', 7, 'live', fingerprints.of(new Secret(OTHER)).value],
      ['trufflehog', 'github', 'b.env', 7, 'live', fingerprints.of(new Secret(OTHER)).value],
      ['other', 'X1', 'c.env', 9, 'unknown', undefined],
    ],
  )
  assert.ok(!text.includes(TOKEN.slice(4, -2)))
  assert.match((await run({ imports: [at('n')] })).told, /neither a report of gitleaks/)
})

test('attack: no report of somebody else does more than become findings, or a sentence', () => {
  const line = fc.oneof(fc.constantFrom(-1, 0, 1e308, 1.5, null, '1', []), fc.integer())
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(null, '\u001b[31m', '=cmd|calc', '__proto__', 'x'.repeat(500)),
  )
  const gitleaks = fc.array(
    fc.record({ RuleID: text, File: text, Secret: text, StartLine: line, Commit: text, Date: text }),
  )
  const region = fc.record({ startLine: line, endLine: line, snippet: fc.record({ text }) })
  const place = fc.record({ artifactLocation: fc.record({ uri: text }), region })
  const result = fc.record(
    { ruleId: text, locations: fc.array(fc.record({ physicalLocation: place })) },
    { requiredKeys: [] },
  )
  const run = fc.record({ tool: fc.record({ driver: fc.record({ name: text }) }), results: fc.array(result) })
  const sarif = fc.record({ version: fc.constantFrom('2.1.0', '3.0'), runs: fc.array(run) })
  const hog = fc.record({
    SourceMetadata: fc.record({ Data: fc.dictionary(text.map(String), fc.record({ file: text, line })) }),
    DetectorName: text,
    Raw: text,
  })
  const any = fc.oneof(gitleaks, sarif, hog, fc.jsonValue()).map((value) => JSON.stringify(value))
  let taken = 0
  fc.assert(
    fc.property(
      fc.oneof(
        any,
        any.map((whole) => whole.slice(0, -2)),
        fc.string(),
      ),
      (report) => {
        try {
          for (const finding of importFindings(report, fingerprints)) taken += Finding.parse(finding).line > 0 ? 1 : 0
        } catch (error) {
          assert.match(String(error), /^Error: It is neither a report/)
        }
      },
    ),
    { numRuns: 60 },
  )
  assert.ok(taken > 0)
})
