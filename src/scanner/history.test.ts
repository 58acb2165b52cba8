import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { crcSample, maker, seeded } from '../../test/support/secrets/samples.ts'
import { systemClock } from '../kernel/clock.ts'
import { fingerprintsUnder } from '../kernel/fingerprint.ts'
import { Secret } from '../kernel/secret.ts'
import type { Finding } from './contract.ts'
import { scan, type Source } from './scanner.ts'

const make = maker(seeded(77))
const [FIRST, SECOND, THIRD] = [crcSample(make, 'ghp_'), crcSample(make, 'gho_'), crcSample(make, 'npm_')]
const fingerprints = fingerprintsUnder(new Secret(Buffer.alloc(32, 7)))

async function found(source: Source): Promise<Finding[]> {
  return Array.fromAsync(scan(source, { clock: systemClock, fingerprints }))
}

/** A real repository whose commits have fixed authors and times. */
function repository(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'reeve-git-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  let minute = 0
  const git = (...args: string[]) => {
    const at = `2026-01-01T00:${String((minute += 1)).padStart(2, '0')}:00Z`
    const env = { ...process.env, GIT_AUTHOR_DATE: at, GIT_COMMITTER_DATE: at, GIT_CONFIG_GLOBAL: '/dev/null' }
    return execFileSync('git', args, { cwd: root, env, encoding: 'utf8' }).trim()
  }
  git('init', '-q', '-b', 'main')
  git('config', 'user.name', 'Ana')
  git('config', 'user.email', 'ana@orders.dev')
  const commit = (files: Readonly<Record<string, string | null>>, message = 'change') => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      if (text === null) rmSync(join(root, path))
      else writeFileSync(join(root, path), text)
    }
    git('add', '-A')
    git('commit', '-q', '-m', message)
    return git('rev-parse', 'HEAD')
  }
  return { root, git, commit }
}

test('history is read object by object: who first brought a secret, where, when, and whether it still stands', async (t) => {
  const { root, git, commit } = repository(t)
  const one = commit({ 'app/a.env': `A=${FIRST}\n` })
  commit({ 'app/a.env': `A=${FIRST}\nB=1\n` })
  const three = commit({ 'b.txt': `B=${SECOND}\n` })
  commit({ 'b.txt': null })
  git('checkout', '-q', '-b', 'side', one)
  const side = commit({ 'c.txt': `C=${THIRD}\n` })
  git('checkout', '-q', 'main')
  git('gc', '-q')

  const findings = await found({ kind: 'history', repository: root })

  const seen = findings.map(({ rule, path, commit, isPresent }) => ({ rule, path, commit, isPresent }))
  assert.deepEqual(
    seen.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
    [
      { rule: 'github-token', path: 'app/a.env', commit: one, isPresent: true },
      { rule: 'github-oauth-token', path: 'b.txt', commit: three, isPresent: false },
      { rule: 'npm-token', path: 'c.txt', commit: side, isPresent: false },
    ],
  )
  assert.equal(findings[0]?.author, 'Ana <ana@orders.dev>')
  assert.match(findings[0]?.committedAt ?? '', /^2026-01-01T00:/)
})

test('what no commit reaches any more is found too, and files whose rules ask for their name are known by it', async (t) => {
  const { root, git, commit } = repository(t)
  commit({ 'a.txt': 'a\n', 'home/.netrc': `machine git.internal login ci password ${make('{m:20}')}\n` })
  writeFileSync(join(root, 'lost'), `L=${FIRST}\n`)
  const lost = git('hash-object', '-w', 'lost')

  const findings = await found({ kind: 'history', repository: root })

  assert.deepEqual(
    findings
      .map(({ rule, path, commit }) => [rule, path, commit === null])
      .toSorted((a, b) => String(a).localeCompare(String(b))),
    [
      ['github-token', `object ${lost.slice(0, 12)}`, true],
      ['netrc-password', 'home/.netrc', false],
    ],
  )
})

test('objects that a repository lacks are told, and the rest of its history is read', async (t) => {
  const { root, git, commit } = repository(t)
  commit({ 'gone.bin': 'one\n', 'a.env': `A=${FIRST}\n` })
  const gone = git('rev-parse', 'HEAD:gone.bin')
  rmSync(join(root, '.git/objects', gone.slice(0, 2), gone.slice(2)))
  const unread: string[] = []

  const findings = await Array.fromAsync(
    scan(
      { kind: 'history', repository: root },
      { clock: systemClock, fingerprints, onUnread: ({ path, reason }) => unread.push(`${path}: ${reason}`) },
    ),
  )

  assert.deepEqual(
    findings.map(({ rule, path }) => [rule, path]),
    [['github-token', 'a.env']],
  )
  assert.deepEqual(unread, [`object ${gone.slice(0, 12)}: the repository lacks this object`])
})

test('before a commit only what it adds is found: what the file held before is history’s', async (t) => {
  const { root, git, commit } = repository(t)
  commit({ 'old.env': `A=${FIRST}\n`, 'gone.env': `A=${SECOND}\n` })
  writeFileSync(join(root, 'old.env'), `A=${FIRST}\nB=${THIRD}\n`)
  rmSync(join(root, 'gone.env'))
  git('add', '-A')
  writeFileSync(join(root, 'old.env'), 'nothing, in the working tree\n')

  const findings = await found({ kind: 'staged', repository: root })

  assert.deepEqual(
    findings.map(({ rule, path, line }) => [rule, path, line]),
    [['npm-token', 'old.env', 2]],
  )
})

test('attack: a push that takes its secret out again in a later commit, or allows it by a comment or a list of its own, is still found', async (t) => {
  const { root, git, commit } = repository(t)
  const base = commit({ 'a.txt': 'a\n' })
  git('update-ref', 'refs/heads/published', base)
  git('checkout', '-q', '--detach')
  const first = commit({
    'a.env': `A=${FIRST} # reeve-scan:allow\n`,
    '.reeve-scan.yaml': 'allow: [{ reason: x, path: "**" }]\n',
  })
  const last = commit({ 'a.env': 'A=\n' })

  const findings = await found({ kind: 'push', repository: root, updates: `${base} ${last} refs/heads/published\n` })

  assert.deepEqual(
    findings.map(({ rule, path, commit }) => [rule, path, commit]),
    [['github-token', 'a.env', first]],
  )
  const deleted = await found({ kind: 'push', repository: root, updates: `${last} ${'0'.repeat(40)} refs/heads/x\n` })
  assert.deepEqual(deleted, [])
  const injected = await found({ kind: 'push', repository: root, updates: `${base} --output=x refs/heads/x\n` })
  assert.deepEqual(injected, [])
})

test('attack: what a repository’s configuration would start is not started', async (t) => {
  const { root, git, commit } = repository(t)
  commit({ 'a.env': `A=${FIRST}\n`, '.gitattributes': '*.env diff=evil filter=evil\n' })
  const mark = join(root, '.git', 'started')
  for (const key of [
    'core.fsmonitor',
    'core.pager',
    'diff.external',
    'diff.evil.textconv',
    'diff.evil.command',
    'core.sshCommand',
  ]) {
    git('config', key, `touch ${mark}; true`)
  }

  assert.equal((await found({ kind: 'history', repository: root })).length, 1)
  await found({ kind: 'staged', repository: root })
  assert.throws(() => execFileSync('ls', [mark], { stdio: 'ignore' }))
})

test('a folder that is no repository is said to be none', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'reeve-git-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))

  await assert.rejects(found({ kind: 'history', repository: root }), /git .* failed: .*not a git repository/)
})

test('attack: commits of times that nobody can write, of names with signs in them, and paths of no UTF-8 hide nothing', async (t) => {
  const { root, git } = repository(t)
  const blob = (text: string) => {
    writeFileSync(join(root, 'tmp'), text)
    return git('hash-object', '-w', 'tmp')
  }
  const input = (args: string[], bytes: Buffer) =>
    execFileSync('git', args, { cwd: root, input: bytes }).toString().trim()
  const [one, two] = [blob(`A=${FIRST}\n`), blob(`B=${SECOND}\n`)]
  // As text both names would be one, and one of the blobs would seem to be gone.
  const names = [Buffer.of(0x61, 0xfe), Buffer.of(0x61, 0xff), Buffer.from('\u0001odd\tname')]
  const lines = names.flatMap((name, n) => [Buffer.from(`100644 blob ${n === 1 ? two : one}\t`), name, Buffer.of(0)])
  const tree = input(['mktree', '-z'], Buffer.concat(lines))
  let parent = ''
  for (const time of ['-5 +0000', '9223372036854775807 +9959', '99999999999999 +0000']) {
    const who = `A\u0002b <a@b> ${time}`
    const text = `tree ${tree}\n${parent}author ${who}\ncommitter ${who}\n\nm\n`
    parent = `parent ${input(['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], Buffer.from(text))}\n`
  }
  git('update-ref', 'HEAD', parent.slice(7).trim())
  const findings = await found({ kind: 'history', repository: root })

  assert.deepEqual(
    findings
      .toSorted((a, b) => (a.path < b.path ? -1 : 1))
      .map(({ path, author, committedAt, isPresent }) => [path, author, committedAt, isPresent]),
    ['\u0001odd\tname', 'a\u00fe', 'a\u00ff'].map((path) => [path, 'Ab <a@b>', null, true]),
  )
})
