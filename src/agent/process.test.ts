import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemProcesses, unitsOf } from './process.ts'

const POD = '0a1b2c3d-1111-2222-3333-444455556666'
const POD_IN_A_SLICE = POD.replaceAll('-', '_')

test('units and pods are read from the group that only the manager makes', () => {
  for (const [path, expected] of [
    ['/system.slice/postgresql@15-main.service', ['systemd:unit:postgresql@15-main.service']],
    ['/system.slice/system-postgresql.slice/postgresql@15-main.service', ['systemd:unit:postgresql@15-main.service']],
    [
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${POD_IN_A_SLICE}.slice/cri-1.scope`,
      [`k8s:pod-uid:${POD}`],
    ],
    [`/kubepods/besteffort/pod${POD}/0123`, [`k8s:pod-uid:${POD}`]],
    [`/kubepods/pod${POD}/0123`, [`k8s:pod-uid:${POD}`]],
    ['/', []],
    ['/../system.slice/x.service', []],
  ] as const) {
    assert.deepEqual(unitsOf(`0::${path}\n`), expected, path)
  }
  assert.deepEqual(unitsOf('12:cpu:/system.slice/cpu.service\n1:name=systemd:/system.slice/a.service\n'), [
    'systemd:unit:a.service',
  ])
})

test('attack: a group that a user or a container makes inside its own is no unit and no pod', () => {
  const other = POD.replace('0a1b', 'ffff')

  assert.deepEqual(unitsOf('0::/user.slice/user-1000.slice/user@1000.service/app.slice/postgresql.service\n'), [
    'systemd:unit:user@1000.service',
  ])
  assert.deepEqual(unitsOf(`0::/kubepods/besteffort/pod${POD}/0123/pod${other}/x\n`), [`k8s:pod-uid:${POD}`])
  assert.deepEqual(unitsOf(`0::/system.slice/evil.service/kubepods/pod${other}\n`), ['systemd:unit:evil.service'])
  assert.deepEqual(unitsOf(`0::/docker/x/kubepods/pod${other}\n`), [])
})

test('attack: a program that was replaced after it began has no path any more, and its hash is of what runs', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-exe-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [program, trusted] = [join(folder, 'program'), join(folder, 'trusted')]
  copyFileSync('/bin/sleep', program)
  copyFileSync('/bin/cat', trusted)
  const child = spawn(program, ['60'])
  t.after(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  const pid = child.pid ?? 0
  const before = await systemProcesses.selectorsOf(pid, true)
  assert.ok(before.includes(`unix:path:${program}`))

  renameSync(trusted, program)
  const after = await systemProcesses.selectorsOf(pid, true)

  assert.ok(!after.some((each) => each.startsWith('unix:path:')))
  const hash = (found: readonly string[]) => found.find((each) => each.startsWith('unix:sha256:'))
  assert.equal(hash(after), hash(before))
})

test('a process is told from the next one of its id by when it started', () => {
  const start = systemProcesses.startOf(process.pid)

  assert.match(start ?? '', /^\d+$/)
  assert.notEqual(systemProcesses.startOf(1), start)
  assert.equal(systemProcesses.startOf(4_194_305), undefined)
  assert.equal(systemProcesses.userOf(process.pid), process.geteuid?.())
})
