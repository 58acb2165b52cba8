import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { finishGrant, requestAccess } from '../../src/access/contract.ts'
import { findPostmaster } from '../../src/kernel/postgres/postmaster.ts'
import { listSessions } from '../../src/sessions/contract.ts'
import { eventually } from '../support/eventually.ts'
import { closers } from '../support/lease-world.ts'
import { dataFolder, found, type Plant } from './plant.ts'
import type { FaultNode } from './node.ts'
import { checkpointOf, proveCauses, proveTold } from './proofs.ts'
import { connect, failureOf, READ, readingGrant, ticketFor, type Told } from './story.ts'

/** Works at the API until told to stop: what was acknowledged, and what was not. */
function pressure(t: Pick<TestContext, 'after'>, plant: Plant, node: FaultNode) {
  const told: Told[] = []
  const refused: unknown[] = []
  const over = new AbortController()
  const work = async () => {
    using bob = plant.as('bob', node)
    while (!over.signal.aborted) {
      try {
        const { id, grantId } = await bob.ask(requestAccess, { input: READ })
        told.push({ kind: 'access.requested', about: id })
        await bob.ask(finishGrant, { params: { grant: grantId ?? '' } })
        told.push({ kind: 'grant.ended', about: grantId ?? '' })
      } catch (error) {
        refused.push(error)
      }
    }
  }
  const done = Promise.all([work(), work(), work()])
  t.after(() => over.abort())
  const stop = async () => {
    over.abort()
    await done
  }
  return { told, refused, stop }
}

const more = async (told: readonly Told[], count = 10) => {
  const wanted = told.length + count
  await eventually(async () => (told.length >= wanted ? true : undefined))
}

test('Reeve’s database is killed under load: sessions go on, and nothing acknowledged is lost', async (t) => {
  const { plant, first: node } = await found(t)
  const grant = await readingGrant(plant, node)
  const ticket = await ticketFor(plant, node, grant)
  const clients = await Promise.all([1, 2, 3].map(() => connect(node, ticket)))
  const checkpoint = await checkpointOf(plant, node)
  const { told, refused, stop } = pressure(t, plant, node)
  await more(told)

  const killed = findPostmaster(dataFolder(plant.home))?.pid ?? 0
  process.kill(killed, 'SIGKILL')
  await eventually(async () => (refused.length > 0 ? true : undefined))
  await eventually(async () => {
    const pid = findPostmaster(dataFolder(plant.home))?.pid
    return pid !== undefined && pid !== killed ? true : undefined
  })
  await more(told)
  await stop()

  for (const client of clients) assert.equal((await client.query('select 1')).rows.length, 1)
  for (const client of clients) await client.end()
  using ada = plant.as('ada', node)
  await eventually(async () => {
    const { items } = await ada.ask(listSessions, { query: { isLive: true } })
    return items.length === 0 ? true : undefined
  })
  await proveTold(plant, node, told, checkpoint)
  assert.ok((await proveCauses(plant)) > told.length)
})

test('a database that falls silent ends the sessions, since their grants cannot be known to live', async (t) => {
  const { plant, first: node } = await found(t)
  const grant = await readingGrant(plant, node)
  const client = await connect(node, await ticketFor(plant, node, grant))
  const query = failureOf(client.query('select pg_sleep(120)'))
  const postmaster = findPostmaster(dataFolder(plant.home))?.pid ?? 0

  // The postmaster first: whoever it had started by then is all there is.
  process.kill(postmaster, 'SIGSTOP')
  const children = childrenOf(postmaster)
  for (const pid of children) signal(pid, 'SIGSTOP')
  const said = await query.finally(() => {
    for (const pid of [postmaster, ...children]) signal(pid, 'SIGCONT')
  })

  assert.match(said, /lost touch with the control plane/)
  using ada = plant.as('ada', node)
  const session = await eventually(async () => {
    const { items } = await ada.ask(listSessions, { query: { grantId: grant } }).catch(() => ({ items: [] }))
    return items.find(({ endedAt }) => endedAt !== null)
  })
  assert.equal(session.endReason, 'control-lost')
  // The gateway itself is back in touch a moment after the API is.
  const again = await eventually(async () => connect(node, await ticketFor(plant, node, grant)).catch(() => undefined))
  await again.end()
})

const DISK_MB = 400

test('a full disk refuses what it cannot keep, and the node goes on when there is room', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-full-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    rmSync(folder, { recursive: true })
    t.skip('only root may mount a small disk')
    return
  }
  const closing = closers()
  t.after(async () => {
    // The mount point itself cannot be removed while it is one.
    await closing.close().catch(() => undefined)
    execFileSync('umount', ['-l', folder], { stdio: 'ignore' })
    rmSync(folder, { recursive: true, force: true })
  })
  const { plant, first: node } = await found(closing, folder)
  const checkpoint = await checkpointOf(plant, node)
  const { told, refused, stop } = pressure(t, plant, node)
  await more(told)

  const ballast = join(folder, 'ballast')
  fill(ballast)
  await eventually(async () => (refused.length > 0 ? true : undefined))
  rmSync(ballast)
  await more(told)
  await stop()

  assert.ok(!node.hasDied())
  await proveTold(plant, node, told, checkpoint)
  await proveCauses(plant)
})

/** Takes what room there is; the database takes some at the same time. */
function fill(file: string): void {
  const { bavail, bsize } = statfsSync(dirname(file))
  try {
    writeFileSync(file, Buffer.alloc(bavail * bsize - 64 * 1024))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
  }
}

/** One that has ended meanwhile needs none. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function childrenOf(postmaster: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === String(postmaster)
      } catch {
        return false
      }
    })
    .map(Number)
}
