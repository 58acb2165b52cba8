import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { ledgerKinds } from '../../test/support/granted.ts'
import { collect, fileOf, operation, permit, SECRET, sessionWorld, unpacked } from '../../test/support/session-world.ts'
import { play, reveal, verify } from './play.ts'
import { packFrame } from './recording/frames.ts'

test('no value is in the file, in what is played or in the ledger; revealing it is an entry of its own', async (t) => {
  const w = await sessionWorld(t)
  const { granted, session } = await w.begin()
  const message = `invalid input syntax: "${SECRET}"`

  session.record(operation({ outcome: 'failed', error: { code: '22P02', message } }))
  await w.live.close(session, 'closed')

  const stored = await readFile(await fileOf(w, session))
  const played = await collect(await play(w.needs, session.id))
  assert.ok(!stored.includes(SECRET) && !JSON.stringify(played).includes(SECRET))
  const entries = await w.db.selectFrom('ledgerEntry').select('leaf').execute()
  assert.ok(entries.every((entry) => !entry.leaf.includes(SECRET)))
  const byAlice = permit('session.reveal', session.id, granted.subjectId)
  const opened = await collect(await reveal(w.needs, byAlice, 'the incident of Tuesday'))
  const line = opened.find((each) => each.type === 'operation')
  assert.deepEqual(line?.values, [SECRET])
  assert.deepEqual(line?.error, { code: '22P02', message })
  assert.equal((await ledgerKinds(w.db, granted.grantId)).at(-1), 'session.revealed')
})

test('where only statements are to be kept, values are nowhere, not even sealed', async (t) => {
  const w = await sessionWorld(t)
  const { granted, session } = await w.begin({ recording: 'meta' })

  session.record(operation())
  await w.live.close(session, 'closed')

  const byAlice = permit('session.reveal', session.id, granted.subjectId)
  const opened = await collect(await reveal(w.needs, byAlice, 'to see that there is nothing'))
  const line = opened.find((each) => each.type === 'operation')
  assert.equal(line?.statement, 'select * from login where password = $1')
  assert.equal(line?.values, undefined)
})

test('an edit of a recording shows, also one that leaves its length as it was', async (t) => {
  const w = await sessionWorld(t)
  const { session } = await w.begin()
  session.record(operation())
  await w.live.sealAll()
  session.record(operation({ statement: 'drop table evidence' }))
  await w.live.close(session, 'closed')
  const path = await fileOf(w, session)
  const { recordingBytes } = await verify(w.needs, session.id)
  const lines = (await collect(await play(w.needs, session.id))).length

  const whole = await unpacked(path)
  const edited = whole.replace('drop table evidence', 'look at some table_')
  assert.equal(edited.length, recordingBytes)
  await writeFile(path, await packFrame(Buffer.from(edited)))

  assert.equal((await collect(await play(w.needs, session.id))).length, lines)
  const found = await verify(w.needs, session.id)
  assert.equal(found.verdict, 'altered')
  assert.match(found.detail, /^Between byte [1-9]\d* and byte \d+/, 'what was sealed before the edit still holds')
  assert.equal(found.seals, 2)
})

test('a recording that was cut, one with something added and one that is gone each show', async (t) => {
  const w = await sessionWorld(t)
  const { session } = await w.begin()
  session.record(operation())
  await w.live.sealAll()
  session.record(operation())
  await w.live.close(session, 'closed')
  const path = await fileOf(w, session)
  const stored = await readFile(path)
  const verdict = async () => (await verify(w.needs, session.id)).verdict

  const verdicts = [await verdict()]
  for (const bytes of [
    stored.subarray(0, stored.length - 5),
    Buffer.concat([stored, await packFrame(Buffer.from('{"type":"operation"}\n'))]),
    Buffer.concat([stored, Buffer.from('x')]),
    Buffer.concat([Buffer.from('x'), stored]),
  ]) {
    await writeFile(path, bytes)
    verdicts.push(await verdict())
  }
  await rm(path)
  verdicts.push(await verdict())

  assert.deepEqual(verdicts, ['intact', 'cut', 'altered', 'altered', 'altered', 'missing'])
})

test('an unfinished recording is read and verified as far as it was sealed', async (t) => {
  const w = await sessionWorld(t)
  const { session } = await w.begin()
  session.record(operation())
  await w.live.sealAll()

  const played = await collect(await play(w.needs, session.id))
  const found = await verify(w.needs, session.id)

  assert.deepEqual(
    played.map((line) => line.type),
    ['header', 'operation'],
  )
  assert.deepEqual([found.verdict, found.seals, found.operations], ['unfinished', 1, 1])
  assert.equal(found.sealedBytes, found.recordingBytes)
})

test('sealed values open only in their own session', async (t) => {
  const w = await sessionWorld(t)
  const [a, b] = [await w.begin(), await w.begin()]
  a.session.record(operation())
  b.session.record(operation())
  await w.live.close(a.session, 'closed')
  await w.live.close(b.session, 'closed')

  await writeFile(await fileOf(w, b.session), await readFile(await fileOf(w, a.session)))

  const byAlice = permit('session.reveal', b.session.id, b.granted.subjectId)
  await assert.rejects(async () => collect(await reveal(w.needs, byAlice, 'swapped files')), { name: 'SealBroken' })
})

test('a recording that falls behind by more than it may hold is lost at once', async (t) => {
  let letGo = () => {}
  const stuck = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const w = await sessionWorld(t, {
    store: (inner) => ({
      ...inner,
      async create(name) {
        const sink = await inner.create(name)
        let writes = 0
        return {
          ...sink,
          [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
          append: (bytes) => (++writes > 1 ? stuck : sink.append(bytes)),
        }
      },
    }),
  })
  const { session } = await w.begin()

  let taken = 0
  while (!session.lost.aborted && taken < 100_000) {
    session.record(operation({ statement: 'x'.repeat(1000), sealed: [] }))
    taken += 1
  }

  assert.ok(session.lost.aborted && taken > 20_000 && taken < 35_000, `lost after ${taken} operations of 1 kB`)
  assert.equal(w.live.counts().pendingBytes, 0)
  letGo()
})
