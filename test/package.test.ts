import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { openDecider } from '../src/decide.ts'
import type * as declaredDecide from '../types/decide.d.ts'

const exec = promisify(execFile)
const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

let folder = ''
let files: string[] = []

/** Packs, and unpacks where `npm install` would put it; the dependencies are those that are installed here. */
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reeve-package-'))
  // As root the embedded database runs under another uid, which must be able to pass through.
  await chmod(folder, 0o711)
  const { stdout } = await exec('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: root,
    maxBuffer: 1 << 26,
  })
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string; files: { path: string }[] }]
  files = packed.files.map(({ path }) => path)
  const modules = join(folder, 'node_modules')
  const unpacked = join(modules, 'reeve')
  await mkdir(unpacked, { recursive: true })
  await exec('tar', ['-xzf', join(folder, packed.filename), '--strip-components=1', '-C', unpacked])
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) await symlink(join(root, 'node_modules', name), join(modules, name))
  }
  await mkdir(join(modules, '.bin'))
  await symlink(join('..', 'reeve', 'bin', 'reeve.js'), join(modules, '.bin', 'reeve'))
  await symlink(join('..', 'reeve', 'bin', 'reeve-verify.js'), join(modules, '.bin', 'reeve-verify'))
})

after(() => rm(folder, { recursive: true, force: true }))

const program = (name: string) => join(folder, 'node_modules', '.bin', name)

test('the package holds what runs, what it reads, and nothing else', () => {
  for (const path of [
    'bin/reeve.js',
    'bin/launch.js',
    'dist/src/reeve.js',
    'dist/src/server.js',
    'dist/src/decide.js',
    'dist/verifier/verify.js',
    // What a node serves of itself.
    'dist/docs/reference/openapi.json',
  ]) {
    assert.ok(files.includes(path), path)
  }
  assert.ok(files.includes('dist/policies/default.cedar') && files.includes('dist/package.json'))
  // The questions that go with the policies: who copies the folder has them too.
  const asked = ['dist/policies/default.test.yaml', 'dist/src/decide.d.ts']
  assert.ok(asked.every((path) => files.includes(path)))
  assert.ok(files.some((path) => /^dist\/migrations\/0001_.*\.sql$/.test(path)))
  assert.deepEqual(
    files.filter((path) => /\.ts$|\.test\.|\.fixture\.|^(?:src|test|scripts|node_modules)\//.test(path)),
    asked,
  )
})

test('an installed package says its version, and its verifier its usage', async () => {
  const { stdout } = await exec(process.execPath, [program('reeve'), '--version'], { cwd: folder })
  assert.equal(stdout, `${version}\n`)

  const verifier = await exec(process.execPath, [program('reeve-verify')], { cwd: folder }).catch(
    (error: unknown) => error,
  )
  assert.equal((verifier as { code: number }).code, 2)
  assert.match((verifier as { stdout: string }).stdout, /reeve-verify <export>/)
})

test('a program imports the decider of an installed package, and nothing else of it', async () => {
  const run = (code: string) => exec(process.execPath, ['--input-type=module', '--eval', code], { cwd: folder })

  const { stdout } = await run("console.log(typeof (await import('reeve/decide')).openDecider)")

  assert.equal(stdout, 'function\n')
  await assert.rejects(run("await import('reeve/dist/src/server.js')"), /ERR_PACKAGE_PATH_NOT_EXPORTED/)
})

test('what the package says of its types is what its code takes and gives', async () => {
  const declared: typeof declaredDecide.openDecider = openDecider
  assert.equal(typeof declared, 'function')
  const code = `import { openDecider, type Answer, type Decider } from 'reeve/decide'
const decider: Decider = await openDecider({ url: 'https://reeve.example', token: 't', staleMs: 1000 })
const answer: Answer = await decider.decide({})
export const lost: number = decider.state().lost
export const reasons: readonly string[] = answer.context.reasons ?? []
`
  const check = async (name: string, text: string) => {
    await writeFile(join(folder, name), text)
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'esnext', '--types', '']
    return exec(join(root, 'node_modules', '.bin', 'tsc'), ['--ignoreConfig', ...options, name], { cwd: folder })
  }

  await check('right.mts', code)
  for (const wrong of [code.replace("url: 'https://reeve.example', ", ''), code.replace('.lost', '.gone')]) {
    await assert.rejects(check('wrong.mts', wrong), { stdout: /wrong\.mts.* error TS2/ })
  }
})

test('an older Node hands over to the one that comes with the package', async (t) => {
  const older = await olderNode()
  if (older === undefined) return t.skip('there is no Node 20 to 23 on the PATH')

  const { stdout } = await exec(older, [program('reeve'), '--version'], { cwd: folder })

  assert.equal(stdout, `${version}\n`)
})

test('an installed package starts, answers, and stops in order', async (t) => {
  await startsAndStops(t, process.execPath)
})

test('under an older Node too, and the signal reaches the server', async (t) => {
  const older = await olderNode()
  if (older === undefined) return t.skip('there is no Node 20 to 23 on the PATH')
  await startsAndStops(t, older)
})

async function startsAndStops(t: TestContext, node: string): Promise<void> {
  const home = join(folder, `home-${Math.trunc(performance.now())}`)
  const args = ['start', '--set', `home=${home}`, '--set', 'api.port=0', '--set', 'gateways.postgres.port=0']
  const server = spawn(node, [program('reeve'), ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  t.after(() => server.kill('SIGKILL'))
  const exited = once(server, 'exit')
  const said: string[] = []
  let url: string | undefined
  for await (const line of createInterface({ input: server.stderr })) {
    said.push(line)
    url = / answers at (https:\S+)/.exec(line)?.[1]
    if (url !== undefined) break
  }
  assert.ok(url !== undefined, said.join('\n'))
  server.stderr.resume()

  const ca = readFileSync(join(home, 'ca', 'ca.pem'))
  const [answer] = await once(request(new URL('/livez', url), { ca, agent: false }).end(), 'response')
  answer.resume()
  server.kill('SIGTERM')
  const [code] = await exited

  assert.equal(answer.statusCode, 200)
  assert.equal(code, 0)
}

async function olderNode(): Promise<string | undefined> {
  for (const place of (process.env.PATH ?? '').split(delimiter)) {
    const node = join(place, 'node')
    if (!existsSync(node)) continue
    const { stdout } = await exec(node, ['--version'])
    const major = Number(/^v(\d+)/.exec(stdout)?.[1])
    if (major >= 20 && major < 24) return node
  }
  return undefined
}
