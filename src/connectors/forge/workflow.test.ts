import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readWorkflow } from './workflow.ts'

const SHA = 'a'.repeat(40)
const workflow = (more: string, on = 'push') =>
  `on: ${on}\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n${more}`
const step = (text: string) => `      - ${text}\n`

test('an action by a name is not pinned, by the hash of a commit or an image it is, and a local one is the repository itself', () => {
  const read = readWorkflow(
    workflow(
      [
        `uses: actions/checkout@v4`,
        `uses: a/b@${SHA}`,
        `uses: docker://alpine:3`,
        `uses: docker://alpine@sha256:${'b'.repeat(64)}`,
        `uses: ./local`,
        `uses: https://gitea.com/actions/x@main`,
        `uses: a/c`,
      ]
        .map(step)
        .join(''),
    ),
  )

  assert.deepEqual(
    read?.actions.map(({ uses, isPinned }) => [uses.slice(0, 24), isPinned]),
    [
      ['actions/checkout@v4', false],
      ['a/b@aaaaaaaaaaaaaaaaaaaa', true],
      ['docker://alpine:3', false],
      ['docker://alpine@sha256:b', true],
      ['https://gitea.com/action', false],
      ['a/c', false],
    ],
  )
})

test('code of strangers in the name of the repository is seen however it is fetched, and what runs without it is not', () => {
  const checkout = (ref: string) => step(`{ uses: actions/checkout@v4, with: { ref: "${ref}" } }`)
  const runs = (more: string, on = 'pull_request_target') => readWorkflow(workflow(more, on))?.runsProposedCode

  for (const ref of [
    '${{ github.event.pull_request.head.sha }}',
    '${{ github.head_ref }}',
    'refs/pull/${{ github.event.number }}/merge',
    '${{gitea.event.pull_request.head.ref}}',
  ])
    assert.equal(runs(checkout(ref)), true, ref)
  assert.equal(runs(step('run: gh pr checkout ${{ github.event.number }}')), true)
  assert.equal(runs(step('run: git fetch origin pull/$PR/head')), true)
  assert.equal(runs(checkout('${{ github.event.workflow_run.head_sha }}'), '{ workflow_run: {} }'), true)
  assert.equal(runs(step('uses: actions/checkout@v4')), false)
  assert.equal(runs(checkout('${{ github.head_ref }}'), 'pull_request'), false)
})

test('what the token may, who signs for it, where it runs and which secrets it reads are told', () => {
  const text = `
on: [push, pull_request]
permissions: { contents: read, id-token: write }
env: { A: "\${{ secrets.ALPHA }}" }
jobs:
  one:
    runs-on: [self-hosted, linux]
    env: { B: "\${{ secrets['BETA'] }}", T: "\${{ secrets.GITHUB_TOKEN }}" }
    steps: [{ run: 'echo \${{ secrets.GAMMA }} \${{ github.event.issue.title }}' }]
  two: { uses: 'o/r/.github/workflows/x.yml@main', secrets: inherit }
`
  const read = readWorkflow(text)

  assert.deepEqual(
    [read?.token, read?.permissions, read?.asksForIdToken],
    ['declared', ['contents: read', 'id-token: write'], true],
  )
  assert.deepEqual(
    [read?.runsSelfHosted, read?.passesAllSecrets, read?.injected],
    [true, true, ['github.event.issue.title']],
  )
  assert.deepEqual(
    read?.secrets.map(({ name, where }) => `${name}: ${where}`),
    ['ALPHA: environment of all jobs', 'BETA: environment of job one', 'GAMMA: script of a step of job one'],
  )
  const token = (permissions: string) =>
    readWorkflow(`on: push\n${permissions}\njobs: { a: { runs-on: x, steps: [] } }`)?.token
  assert.deepEqual(
    [token('permissions: write-all'), token('permissions: read-all'), token('permissions: {}'), token('')],
    ['write-all', 'read-all', 'none', 'default'],
  )
})

test('attack: a bomb of aliases, a flood, and any text at all end soon and as nothing', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghij'
      .split('')
      .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghij'[at]}`).join(',')}]`),
    'jobs: *j',
  ].join('\n')
  assert.equal(readWorkflow(bomb), undefined)
  assert.equal(readWorkflow(`jobs: {}\n#${'x'.repeat(600_000)}`), undefined)
  for (const text of ['', 'jobs', '- 1', 'jobs: [', 'jobs: 1', '\u0000'])
    assert.equal(readWorkflow(text), undefined, text)
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), (text, json) => {
      readWorkflow(text)
      readWorkflow(
        JSON.stringify({
          on: json,
          permissions: json,
          env: json,
          jobs: { a: json, b: { steps: [json], 'runs-on': json, permissions: json } },
        }),
      )
    }),
  )
})
