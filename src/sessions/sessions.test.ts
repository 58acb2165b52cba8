import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { addNode, ledgerKinds } from '../../test/support/granted.ts'
import { collect, fileOf, observations, operation, permit, sessionWorld } from '../../test/support/session-world.ts'
import { transact } from '../kernel/db.ts'
import { event } from '../kernel/event.ts'
import { Problem } from '../kernel/problem.ts'
import { openLiveSessions } from './live.ts'
import { follow, play, verify } from './play.ts'
import { packFrame } from './recording/frames.ts'
import { findSession, listSessions, sessionResource } from './records.ts'
import { stopSession } from './stop.ts'

test('a session keeps who stood behind it, what it did in numbers, and the digest of its recording', async (t) => {
  const w = await sessionWorld(t)
  const { granted, session } = await w.begin()

  session.record(operation())
  session.record(operation({ outcome: 'refused', error: { code: '42501', message: 'ask for postgres.schema' } }))
  await w.live.close(session, 'closed')

  const row = await findSession(w.db, session.id)
  assert.deepEqual(
    { reason: row.endReason, operations: row.operations, rows: row.rowCount, bytes: row.sizeBytes },
    { reason: 'closed', operations: 2, rows: 4, bytes: 200 },
  )
  const [header, first, second, end] = await collect(await play(w.needs, session.id))
  assert.equal(header?.type === 'header' && header.subject.ownerTeam, 'payments')
  assert.match(String(header?.type === 'header' && header.subject.ownerName), /^owner-of-alice/)
  assert.equal(header?.type === 'header' && header.target.name, granted.target)
  assert.equal(header?.type === 'header' && header.subject.businessService, 'billing')
  assert.equal(first?.type === 'operation' && first.statement, 'select * from login where password = $1')
  assert.deepEqual(second?.type === 'operation' && second.error, { code: '42501', message: 'ask for postgres.schema' })
  assert.equal(end?.type === 'end' && end.operations, 2)
  assert.deepEqual(await ledgerKinds(w.db, granted.grantId), ['session.opened', 'session.ended'])
  assert.equal((await verify(w.needs, session.id)).verdict, 'intact')
  assert.equal((await stat(await fileOf(w, session))).mode & 0o777, 0o600)
  assert.deepEqual((await listSessions(w.db, { limit: 10, grantId: granted.grantId })).items, [row])
  assert.equal((await sessionResource(w.db, session.id)).attributes['state'], 'ended')
})

test('a grant without recording still counts what its sessions do', async (t) => {
  const w = await sessionWorld(t)
  const { session } = await w.begin({ recording: 'none' })

  session.record(operation())
  await w.live.close(session, 'closed')

  assert.equal((await findSession(w.db, session.id)).operations, 1)
  await assert.rejects(
    play(w.needs, session.id),
    (error) => error instanceof Problem && error.slug === 'recording-missing',
  )
})

test('following shows operations as they come and ends with the session', async (t) => {
  const w = await sessionWorld(t)
  const { session } = await w.begin()
  const stop = new AbortController()
  t.after(() => stop.abort())
  const lines = follow(w.needs, session.id, stop.signal)
  const seen = [(await lines.next()).value]

  session.record(operation({ statement: 'select 1' }))
  seen.push((await lines.next()).value)
  await w.live.close(session, 'closed')
  for await (const line of lines) seen.push(line)

  assert.deepEqual(
    seen.map((line) => line?.type),
    ['header', 'operation', 'end'],
  )
})

test('a recorder that fails ends the session, unless its target declares that sessions go on', async (t) => {
  const w = await sessionWorld(t, {
    store: (inner) => ({
      ...inner,
      async create(name) {
        const sink = await inner.create(name)
        let writes = 0
        return {
          ...sink,
          [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
          // The header fits; then the disk is full.
          append: (bytes) => (++writes > 1 ? Promise.reject(new Error('ENOSPC')) : sink.append(bytes)),
        }
      },
    }),
  })
  const [strict, lax] = [await w.begin(), await w.begin({ onRecorderLoss: 'continue' })]

  for (const { session } of [strict, lax]) session.record(operation())
  await w.live.sealAll()

  assert.equal(strict.session.lost.aborted, true)
  assert.match(String(strict.session.lost.reason.sentence), /can no longer be recorded/)
  assert.equal(lax.session.lost.aborted, false)
  lax.session.record(operation())
  for (const { session } of [strict, lax]) await w.live.close(session, 'closed')
  assert.equal((await findSession(w.db, lax.session.id)).operations, 2)
  const found = await verify(w.needs, strict.session.id)
  assert.deepEqual([found.verdict, found.operations], ['intact', 0], 'the digest is of what was kept')
  const observed = await observations(w.db)
  assert.deepEqual(
    observed.filter((leaf) => leaf.kind === 'session.recorder-lost').map((leaf) => leaf.facts.continued),
    [false, true],
  )
})

test('an operator ends a session by its row; asking after its end is refused', async (t) => {
  const w = await sessionWorld(t)
  const { granted, session } = await w.begin()
  const byOwner = permit('session.end', session.id, granted.subjectId)

  await transact(w.db, (tx) => stopSession(tx, w.needs, byOwner, 'looks wrong'))
  await transact(w.db, (tx) => stopSession(tx, w.needs, byOwner, 'looks wrong'))
  assert.equal(session.stopped.aborted, false)
  await w.live.recheck()

  assert.equal(session.stopped.aborted, true)
  await w.live.close(session, 'stopped')
  assert.deepEqual(await ledgerKinds(w.db, granted.grantId), ['session.opened', 'session.stop-asked', 'session.ended'])
  await assert.rejects(
    transact(w.db, (tx) => stopSession(tx, w.needs, byOwner, 'again')),
    (error) => error instanceof Problem && error.slug === 'session-over',
  )
})

test('operations that began after the grant ended are recorded as late', async (t) => {
  const w = await sessionWorld(t)
  const { granted, session } = await w.begin()
  const endedAt = new Date()
  await transact(w.db, async (tx) => {
    const cause = await w.ledger.record(tx, {
      event: event('grant.ended', 'A grant ended.', {}),
      actor: { id: null, kind: 'system' },
      resource: { type: 'Grant', id: granted.grantId },
      outcome: 'done',
      facts: {},
    })
    await tx
      .updateTable('accessGrant')
      .set({ endedAt, endReason: 'revoked', cause })
      .where('id', '=', granted.grantId)
      .execute()
  })

  session.record(operation({ startedAt: new Date(endedAt.getTime() - 1) }))
  session.record(operation({ startedAt: new Date(endedAt.getTime() + 1) }))
  await w.live.close(session, 'revoked')

  assert.equal((await findSession(w.db, session.id)).lateOperations, 1)
  const end = (await collect(await play(w.needs, session.id))).at(-1)
  assert.deepEqual(end?.type === 'end' && end.late, [1])
})

test('sessions of a dead node are closed with what it left, those of a live one are not', async (t) => {
  const w = await sessionWorld(t)
  const dead = { nodeId: await addNode(w.db, new Date(Date.now() - 16_000)) }
  const alive = { nodeId: await addNode(w.db, new Date(Date.now() - 5_000)) }
  const process = (at: { nodeId: string }) => ({ ...at, live: openLiveSessions({ ...w.needs, ...at }) })
  const orphan = await w.begin({}, process(dead))
  const other = await w.begin({}, process(alive))
  orphan.session.record(operation())
  await orphan.session.seal()
  // Killed while it wrote: half a frame hangs on its file.
  const path = await fileOf(w, orphan.session)
  await writeFile(path, Buffer.concat([await readFile(path), (await packFrame(Buffer.from('torn'))).subarray(0, 9)]))

  assert.equal(await w.live.sweep(), 1)
  assert.equal(await w.live.sweep(), 0)

  const row = await findSession(w.db, orphan.session.id)
  assert.deepEqual([row.endReason, row.operations, row.rowCount], ['node-lost', 1, 2])
  assert.equal((await findSession(w.db, other.session.id)).endedAt, null)
  assert.equal((await verify(w.needs, orphan.session.id)).verdict, 'intact')
})

test('a node that was only taken for dead seals what it recorded after its sessions were closed for it', async (t) => {
  const w = await sessionWorld(t)
  const other = openLiveSessions({ ...w.needs, nodeId: await addNode(w.db) })
  const { session } = await w.begin()
  session.record(operation())
  await w.live.sealAll()
  const longAgo = new Date(Date.now() - 16_000)
  await w.db.updateTable('node').set({ heartbeatAt: longAgo }).where('id', '=', w.needs.nodeId).execute()
  assert.equal(await other.sweep(), 1)
  await other[Symbol.asyncDispose]()

  session.record(operation())
  await w.live.close(session, 'closed')

  assert.equal((await findSession(w.db, session.id)).endReason, 'node-lost')
  assert.equal(w.live.counts().unclosed, 0)
  const found = await verify(w.needs, session.id)
  assert.deepEqual([found.verdict, found.operations], ['intact', 2])
})

test('a close that the database refuses is kept and tried again', async (t) => {
  const w = await sessionWorld(t)
  const { session } = await w.begin()
  let refusals = 1

  await w.live.close(session, 'closed', async () => {
    if (refusals-- > 0) throw new Error('the database went away')
  })
  assert.equal((await findSession(w.db, session.id)).endedAt, null)
  assert.equal(w.live.counts().unclosed, 1)
  await w.live[Symbol.asyncDispose]()

  assert.equal((await findSession(w.db, session.id)).endReason, 'closed')
  assert.equal(w.live.counts().unclosed, 0)
})
