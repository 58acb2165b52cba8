import assert from 'node:assert/strict'
import fc from 'fast-check'
import { asAdmin, attack, bind, changes, execute, round, unnamed } from '../../../test/support/gateway-attack.ts'
import { spoken, told, until, type RawClient } from '../../../test/support/gateway.ts'
import type { FakeHold, FakePlane, Seen } from '../../../test/support/plane.ts'
import * as encode from './wire/encode.ts'

const held = { ...changes, holds: 'destructive' } as const
const WIPE = 'update public.accounts set balance = 0'

const LEFT = `select from pg_stat_activity where usename = 'lease'`

function cancel(plane: FakePlane, raw: RawClient): void {
  const { payload } = raw.frames.find(({ type }) => type === 'K') ?? assert.fail('there is no key')
  plane.hear(payload.readInt32BE(0), () => payload.subarray(4))
}

async function waiting(seen: Seen, count = 1): Promise<FakeHold> {
  await until(() => seen.held.length >= count, 'nothing waits')
  return seen.held[count - 1] ?? assert.fail()
}

attack('attack: a destructive statement does not run before a person releases it, and then once', async (t) => {
  const { bed, balances } = t
  const client = await bed.client(held)
  const notices: string[] = []
  client.on('notice', ({ message }) => notices.push(message ?? ''))

  const done = client.query(WIPE)
  const hold = await waiting(client.seen)
  assert.deepEqual(await balances(), [100])
  assert.deepEqual(
    [hold.operation.class, hold.operation.label, hold.operation.statement, hold.operation.action],
    ['destructive', 'UPDATE', 'update public.accounts set balance = $1', 'postgres.write'],
  )
  hold.settle(undefined)
  assert.equal((await done).rowCount, 1)

  assert.deepEqual(await balances(), [0])
  assert.deepEqual(notices, ['This operation is destructive and waits.'])
  await client.query('update public.accounts set balance = 5 where id = 1')
  assert.equal(client.seen.held.length, 1)
  assert.deepEqual(told(client.seen.operations), ['UPDATE done', 'UPDATE done'])
})

attack('in a session that is held each statement waits, reading too, and no end of a transaction does', async (t) => {
  const { bed, balances } = t
  const client = await bed.client({ ...changes, holds: 'any' })
  const released = async (text: string, count: number) => {
    const done = client.query(text)
    const hold = await waiting(client.seen, count)
    hold.settle(undefined)
    await done
    return [hold.operation.class, hold.operation.label]
  }

  await client.query('begin')
  assert.deepEqual(await released('select * from public.accounts', 1), ['any', 'SELECT'])
  assert.deepEqual(await released('update public.accounts set balance = 1 where id = 1', 2), ['any', 'UPDATE'])
  assert.deepEqual(await released('update public.accounts set balance = 2', 3), ['destructive', 'UPDATE'])
  await client.query('rollback')

  assert.equal(client.seen.held.length, 3)
  assert.deepEqual(await balances(), [100])
})

attack('a statement that is not released fails, and its transaction with it', async ({ bed, balances }) => {
  const client = await bed.client(held)
  await client.query('begin')
  await client.query('update public.accounts set balance = 7 where id = 1')

  const refused = client.query('delete from public.accounts')
  const hold = await waiting(client.seen)
  hold.settle('A person refused it.')

  await assert.rejects(refused, { code: '42501', message: 'A person refused it.' })
  await assert.rejects(client.query('select 1'), { code: '25P02' })
  assert.equal((await client.query('commit')).command, 'ROLLBACK')
  assert.deepEqual(await balances(), [100])
  assert.deepEqual(told(client.seen.operations).slice(2, 3), ['DELETE refused 42501'])
})

attack('attack: what comes behind a statement that waits, waits behind it', async ({ bed, balances }) => {
  const raw = await bed.raw(held)
  const [seen] = bed.plane.seen
  assert.ok(seen)

  raw.send(...unnamed(WIPE), ...unnamed('delete from public.accounts'), encode.sync(), encode.query('select 3'))
  const first = await waiting(seen)
  assert.deepEqual(await balances(), [100])
  first.settle(undefined)
  const second = await waiting(seen, 2)
  assert.equal(second.operation.label, 'DELETE')
  second.settle('Not today.')

  assert.equal(spoken(await raw.next('Z')), 'N N 1 2 C 1 2 E(42501) Z')
  await raw.next('Z')
  assert.deepEqual(await balances(), [100])
  assert.deepEqual(told(seen.operations).slice(-1), ['SELECT done'])
})

attack('attack: a prepared statement waits each time that it is run, however it was released before', async (t) => {
  const { bed } = t
  const raw = await bed.raw(held)
  const [seen] = bed.plane.seen
  assert.ok(seen)
  await round(raw, encode.parse('s', WIPE), encode.sync())

  for (const count of [1, 2]) {
    raw.send(bind('', 's'), execute(''), encode.sync())
    const hold = await waiting(seen, count)
    hold.settle(undefined)
    await raw.next('Z')
  }
  raw.send(encode.query(`prepare p as ${WIPE}`))
  const preparing = await waiting(seen, 3)
  preparing.settle(undefined)
  await raw.next('Z')
  raw.send(encode.query('execute p'))
  assert.equal((await waiting(seen, 4)).operation.label, 'EXECUTE')
})

attack('a statement that waits is taken back by a cancel, and the session goes on', async ({ bed, balances }) => {
  const raw = await bed.raw(held)
  const [seen] = bed.plane.seen
  assert.ok(seen)
  raw.send(encode.query(WIPE))
  const hold = await waiting(seen)

  cancel(bed.plane, raw)
  assert.ok(hold.signal.aborted)
  hold.settle(undefined)

  assert.equal(spoken(await raw.next('Z')), 'N E(57014) Z')
  assert.equal(await round(raw, encode.query('select 1')), 'T D C Z')
  assert.deepEqual(await balances(), [100])
})

attack('who goes away while a statement waits takes it along', async ({ bed, balances }) => {
  const raw = await bed.raw(held)
  const [seen] = bed.plane.seen
  assert.ok(seen)
  raw.send(encode.query(WIPE))
  const hold = await waiting(seen)

  raw.socket.end()
  await until(() => hold.signal.aborted)
  hold.settle(undefined)
  await until(() => seen.ending !== undefined)

  assert.deepEqual(await balances(), [100])
  assert.deepEqual(told(seen.operations), ['UPDATE refused 57P01'])
})

attack('a target that only warns says what it would have held and refused, and does it', async ({ bed, balances }) => {
  for (const [mode, count] of [
    ['warn', 2],
    ['observe', 0],
  ] as const) {
    const client = await bed.client({ actions: ['postgres.read'], mode, holds: 'destructive' })
    const notices: string[] = []
    client.on('notice', ({ message }) => notices.push(message ?? ''))

    await client.query('select 1')
    await client.query('update public.accounts set balance = 3 where id = 1')
    await client.query('update public.accounts set balance = 4')

    assert.equal(notices.length, count)
    if (mode === 'warn')
      assert.match(notices[0] ?? '', /only warns.* would have been refused: The grant does not cover/)
    assert.deepEqual(
      client.seen.operations.map(({ outcome, wouldRefuse }) => [outcome, wouldRefuse === undefined]),
      [
        ['done', true],
        ['done', false],
        ['done', false],
      ],
    )
    assert.deepEqual(await balances(), [4])
  }
})

attack(
  'no order of release, refusal, cancel, end and departure lets a statement run that was not released, or twice',
  async (t) => {
    const { bed, cluster, balances } = t
    const steps = ['release', 'refuse', 'cancel', 'end', 'leave', 'more'] as const
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([...steps], { minLength: 1 }), async (order) => {
        const raw = await bed.raw(held)
        const seen = bed.plane.seen.at(-1)
        assert.ok(seen)
        const before = Number((await balances())[0])
        raw.send(encode.query('update public.accounts set balance = balance + 1'))
        const hold = await waiting(seen)
        const deciding = order.filter((step) => step !== 'more' && step !== 'leave')
        for (const step of order) {
          if (step === 'release') hold.settle(undefined)
          if (step === 'refuse') hold.settle('No.')
          if (step === 'cancel') cancel(bed.plane, raw)
          if (step === 'end') seen.end({ reason: 'revoked', sentence: 'This grant was revoked.' })
          if (step === 'leave') raw.socket.destroy()
          if (step === 'more') raw.send(encode.query('select 1'))
          await new Promise((turn) => setImmediate(turn))
        }
        // Whatever did not come goes as the plane would have it at last.
        hold.settle('It ran out.')
        raw.socket.destroy()
        await until(() => seen.ending !== undefined)
        await until(async () => (await asAdmin(cluster, LEFT)).length === 0)

        const ran = Number((await balances())[0]) - before
        const done = seen.operations.filter(({ label, outcome }) => label === 'UPDATE' && outcome === 'done').length
        assert.ok(ran <= 1, order.join(' '))
        if (deciding[0] !== 'release') assert.equal(ran, 0, order.join(' '))
        assert.ok(done <= ran, order.join(' '))
      }),
      { numRuns: 25 },
    )
  },
)
