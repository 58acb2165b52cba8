import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { z } from 'zod'
import { runScan, type ScanRequest } from '../../src/scanner/command.ts'
import { Finding } from '../../src/scanner/contract.ts'
import { gitleaksProgram } from './peers/gitleaks.ts'

const run = promisify(execFile)
const Report = z.object({ findings: z.array(Finding) })
const letters = (alphabet: string, length: number) =>
  Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('')
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** Made up, of the right shape, and other ones in each run. */
const SLACK = `xoxb-${letters('123456789', 12)}-${letters('123456789', 12)}-${letters(LETTERS, 24)}`
const PAT = `ghp_${letters(LETTERS, 36)}`
const AWS = `AKIA${letters('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}`
const ODD = 'a folder/ü/=b%41.txt'

test('what gitleaks writes of a repository, in each of its forms, is taken in: same places, same fingerprints as our own', async (t) => {
  const program = await gitleaksProgram()
  const root = mkdtempSync(join(tmpdir(), 'reeve-gitleaks-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const repository = join(root, 'repository')
  const at = (name: string) => join(root, name)
  writeFileSync(at('key'), randomBytes(32))
  mkdirSync(join(repository, 'a folder', 'ü'), { recursive: true })
  writeFileSync(join(repository, ODD), `slack = "${SLACK}"\n`)
  writeFileSync(join(repository, 'a.env'), `aws_access_key_id = "${AWS}"\ngithub_token = "${PAT}"\n`)
  const git = async (...args: string[]) => {
    const who = ['-c', 'user.name=Ana', '-c', 'user.email=ana@orders.dev', '-c', 'core.quotePath=false']
    return (await run('git', [...who, ...args], { cwd: repository })).stdout.trim()
  }
  await git('init', '-q')
  await git('add', '.')
  await git('commit', '-q', '-m', 'one')
  const first = await git('rev-parse', 'HEAD')
  await git('rm', '-q', 'a.env')
  await git('commit', '-q', '-m', 'two')

  const theirs = async (mode: 'git' | 'dir', format: 'json' | 'sarif', ...more: string[]) => {
    const path = at(`${mode}${more.join('')}.${format}`)
    const args = [mode, '.', '--report-format', format, '--report-path', path, '--exit-code', '0', ...more]
    await run(program, args, { cwd: repository, timeout: 60_000 })
    return path
  }
  const scan = async (request: Partial<ScanRequest>) => {
    let text = ''
    await runScan(
      { sources: [], imports: [], format: 'json', workingFolder: root, version: '1', keyFile: at('key'), ...request },
      { report: (part) => (text += part), tell: () => undefined },
    )
    assert.ok([SLACK, PAT, AWS].every((secret) => !text.includes(secret.slice(5, -3))))
    return Report.parse(JSON.parse(text)).findings
  }
  const shape = (found: readonly Finding[]) =>
    found.map((each) => `${each.path}:${each.line} ${each.commit} ${each.author} ${each.fingerprint?.value}`).toSorted()

  const json = await scan({ imports: [await theirs('git', 'json')] })
  const sarif = await scan({ imports: [await theirs('git', 'sarif')] })
  const ours = await scan({ sources: [{ kind: 'history', repository }] })
  const fingerprints = new Map(ours.map(({ fingerprint, path, line }) => [`${path}:${line}`, fingerprint?.value]))

  assert.deepEqual(json.map(({ path, line }) => `${path}:${line}`).toSorted(), [`${ODD}:1`, 'a.env:1', 'a.env:2'])
  assert.deepEqual(shape(sarif), shape(json))
  assert.ok(json.every(({ commit, author }) => commit === first && author === 'Ana <ana@orders.dev>'))
  for (const { path, line, fingerprint, rule } of json)
    if (rule !== 'aws-access-token') assert.equal(fingerprint?.value, fingerprints.get(`${path}:${line}`), rule)

  const [present, presentSarif] = [
    await scan({ imports: [await theirs('dir', 'json')] }),
    await scan({ imports: [await theirs('dir', 'sarif')] }),
  ]
  assert.deepEqual([present.map(({ path }) => path), presentSarif.map(({ path }) => path)], [[ODD], [ODD]])

  for (const format of ['json', 'sarif'] as const)
    for (const redact of ['--redact', '--redact=50']) {
      const hidden = await scan({ imports: [await theirs('git', format, redact)] })
      assert.deepEqual([hidden.length, hidden.every(({ fingerprint }) => fingerprint === null)], [3, true])
    }
  // What it was given lies in its reports; it is not ours to hold.
  assert.ok(readFileSync(at('git.json'), 'utf8').includes(PAT))
})
