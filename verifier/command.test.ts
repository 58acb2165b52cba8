import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseSync } from 'oxc-parser'
import { readExport } from '../src/ledger/tree/export.ts'
import { exportText, inPieces, testLog, testSigner } from '../test/support/ledger-export.ts'
import { main } from './verify.ts'

const signer = testSigner('reeve.example/log')
const twenty = Array.from({ length: 20 }, (_, at) => ({ entry: Buffer.from(`{"grant":"g-${at}"}`) }))
const honest = await exportText(testLog(signer, twenty, [5, 20]))
const key = honest.keys[0] ?? ''

test('the export is read back by the code that wrote it', async () => {
  const records = await Array.fromAsync(readExport(inPieces(honest.text)))

  assert.deepEqual(
    records.flatMap((record) => (record.kind === 'leaf' ? [record.entry] : [])),
    twenty.map((leaf) => leaf.entry),
  )
  assert.deepEqual(records.at(-1), { kind: 'end', leaves: 20 })
  await assert.rejects(Array.fromAsync(readExport(inPieces(honest.text.slice(0, -1)))), /inside a line/)
})

test('the command ends with 0, 1 or 2 and says why', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-verify-'))
  t.after(() => rm(folder, { recursive: true }))
  const [good, bad, keyFile] = ['good', 'bad', 'key'].map((name) => join(folder, name))
  assert.ok(good && bad && keyFile)
  await writeFile(good, honest.text)
  await writeFile(bad, honest.text.replace(/\{"leaf":3,.*\n/, ''))
  await writeFile(keyFile, `# the log\n${key}\n`)
  const run = async (...args: string[]) => {
    const printed: string[] = []
    return { code: await main(args, (text) => printed.push(text)), text: printed.join('\n') }
  }

  const help = await run('--help')
  const ok = await run(good, '--key', keyFile, '--entry', 'g-4')
  const failed = await run(bad, '--key', key)

  assert.equal(help.code, 0)
  assert.match(help.text, /^reeve-verify <export> --key/)
  assert.equal(ok.code, 0)
  assert.match(ok.text, /NOT CHECKED: truncation[^]*NOT CHECKED: fork[^]*OK:/)
  assert.match(ok.text, /entry 4 of reeve\.example\/log/)
  assert.equal(failed.code, 1)
  assert.match(failed.text, /Entry 3 is missing or moved/)
  const json = await run(good, '--key', key, '--json', '--entry', '4')
  assert.deepEqual(
    JSON.parse(json.text).entries.map((entry: { index: number }) => entry.index),
    [4],
  )
  for (const args of [
    [],
    [good],
    [good, '--key', 'x'],
    [join(folder, 'none'), '--key', key],
    [good, '--frob'],
    [good, bad],
  ]) {
    assert.equal((await run(...args)).code, 2, args.join(' '))
  }
})

test('what a file says does not reach the terminal as a control sequence', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-verify-'))
  t.after(() => rm(folder, { recursive: true }))
  const { text } = await exportText(testLog(signer, [{ entry: Buffer.from('\u001b]0;owned\u0007"x"\u202e') }], [1]))
  await writeFile(join(folder, 'export'), text)
  const printed: string[] = []

  await main([join(folder, 'export'), '--key', key, '--entry', '0'], (line) => printed.push(line))

  assert.match(printed.join(''), /\\u001b\]0;owned\\u0007/)
  assert.doesNotMatch(printed.join(''), /[\u001b\u0007\u202e]/) // oxlint-disable-line no-control-regex -- those are the attack
})

test('the verifier imports nothing but Node itself and its own folder', async () => {
  const files = (await readdir(import.meta.dirname)).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
  )
  const imports: string[] = []
  for (const file of files) {
    const source = await readFile(join(import.meta.dirname, file), 'utf8')
    const { module, errors } = parseSync(file, source)
    assert.deepEqual(errors, [])
    imports.push(...module.staticImports.map((one) => one.moduleRequest.value))
    imports.push(
      ...module.staticExports.flatMap(({ entries }) => entries.flatMap((one) => one.moduleRequest?.value ?? [])),
    )
    assert.deepEqual(module.dynamicImports, [], file)
    assert.doesNotMatch(source, /\brequire\b|createRequire/)
  }

  assert.ok(imports.includes('node:crypto') && imports.includes('./check.ts'), 'the test saw no imports')
  for (const name of imports) assert.match(name, /^(?:node:[a-z]+|\.\/[a-z]+\.ts)$/)
})
