import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Parts } from '../parts.ts'
import { cliFor } from '../support.fixture.ts'

type Request = Parameters<Parts['scan']>[0]

function watched(exit: 0 | 1 | 2) {
  const seen: Request[] = []
  const scan: Parts['scan'] = async (request, output) => {
    seen.push(request)
    output.report('the report')
    output.tell('a \u001b[2Jsentence')
    return exit
  }
  return { seen, parts: { scan } }
}

test('what a scan ends with is what the command ends with; the report is data, the rest is told and moves no cursor', async (t) => {
  for (const exit of [0, 1, 2] as const) {
    const { parts } = watched(exit)
    const { code, stdout, stderr } = await (await cliFor(t, {}, parts)).run('scan')

    assert.deepEqual([code, stdout], [exit, 'the report\n'])
    assert.ok(!stderr.includes('\u001b'))
  }
})

test('paths, history, hooks and standard input become sources', async (t) => {
  const { seen, parts } = watched(0)
  const cli = await cliFor(t, {}, parts)
  const { folder } = cli

  await cli.run('scan')
  await cli.run('scan', './src/', '/abs', '--no-names', '--key-file', 'k')
  await cli.run('scan', '--history')
  await cli.run('scan', '--staged')
  await cli.runWith('a b refs/heads/x\n', 'scan', '--pre-receive')
  await cli.run('scan', '--stdin')
  await cli.run('scan', '--import', 'r.json')

  assert.deepEqual(
    seen.map(({ sources }) => sources),
    [
      [{ kind: 'tree', root: folder }],
      [
        { kind: 'tree', root: join(folder, 'src'), shownAs: 'src' },
        { kind: 'tree', root: '/abs', shownAs: '/abs' },
      ],
      [{ kind: 'history', repository: folder }],
      [{ kind: 'staged', repository: folder }],
      [{ kind: 'push', repository: folder, updates: 'a b refs/heads/x\n' }],
      [{ kind: 'stdin' }],
      [],
    ],
  )
  assert.deepEqual([seen[1]?.withNames, seen[1]?.keyFile], [false, join(folder, 'k')])
  assert.deepEqual(seen[6]?.imports, [join(folder, 'r.json')])
})

test('ways that exclude each other, and formats that are none, are refused before anything is read', async (t) => {
  const { seen, parts } = watched(0)
  const cli = await cliFor(t, {}, parts)

  for (const args of [
    ['--history', '--stdin'],
    ['--staged', 'src'],
    ['--format', 'xml'],
  ]) {
    const { code, stderr } = await cli.run('scan', ...args)
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, /^reeve: /)
  }
  assert.deepEqual(seen, [])
})
