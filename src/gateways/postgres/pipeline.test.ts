import assert from 'node:assert/strict'
import { attack, changes, HALF, BEYOND, unnamed, bind, execute, round } from '../../../test/support/gateway-attack.ts'
import { spoken, told } from '../../../test/support/gateway.ts'
import * as encode from './wire/encode.ts'

attack('a statement under a taken name does not take over the record of the first', async ({ bed, balances }) => {
  const raw = await bed.raw(changes)

  await round(raw, encode.parse('s', HALF), encode.sync())
  assert.equal(await round(raw, encode.parse('s', 'select 1'), encode.sync()), 'E(42P05) Z')
  assert.equal(await round(raw, bind('', 's'), execute(''), encode.sync()), '2 C Z')

  assert.deepEqual(await balances(), [0])
  const [seen] = bed.plane.seen
  assert.equal(seen?.operations.at(-1)?.label, 'UPDATE')
})

attack('what the server skipped does not take over the record either', async ({ bed }) => {
  for (const name of ['', 's']) {
    const raw = await bed.raw(changes)
    const seen = bed.plane.seen.at(-1)

    await round(raw, encode.parse(name, 'delete from public.accounts where id = 7'), encode.sync())
    const broken = [encode.parse('x', 'select * from nowhere'), encode.close('S', name)]
    await round(raw, ...broken, encode.parse(name, 'select 1'), bind('', name), execute(''), encode.sync())
    await round(raw, bind('', name), execute(''), encode.sync())

    assert.deepEqual(told(seen?.operations ?? []).slice(-1), ['DELETE done'], `name "${name}"`)
  }
})

attack('a statement that failed itself is gone when it had no name', async ({ bed }) => {
  const raw = await bed.raw(changes)

  await round(raw, encode.parse('', HALF), encode.sync())
  await round(raw, encode.parse('', 'select * from nowhere'), encode.sync())

  assert.equal(await round(raw, bind('', ''), execute(''), encode.sync()), 'E(26000) Z')
})

attack('a pipeline that fails late, message by message, is followed to its Sync', async ({ bed }) => {
  const raw = await bed.raw(changes)
  const [seen] = bed.plane.seen

  raw.send(...unnamed('select * from nowhere'), encode.frame('H'))
  await raw.next('E')
  raw.send(...unnamed(HALF), encode.query(HALF), ...unnamed('select 2'))
  assert.equal(await round(raw, encode.sync()), 'Z')
  assert.equal(await round(raw, ...unnamed('select 3'), encode.sync()), '1 2 D C Z')

  assert.deepEqual(told(seen?.operations ?? []), ['SELECT failed 42P01', 'UPDATE failed 25P02', 'SELECT done'])
})

attack(
  'names that SQL made are not run by messages, where nobody would see what they are',
  async ({ bed, balances }) => {
    const raw = await bed.raw(changes)
    const [seen] = bed.plane.seen

    await round(raw, encode.parse('s', 'select 1'), encode.sync())
    await round(raw, encode.query(`deallocate s; prepare s as ${HALF}`))
    assert.equal(await round(raw, bind('', 's'), execute(''), encode.sync()), 'E(26000) Z')
    assert.equal(await round(raw, bind('', 'never'), execute(''), encode.sync()), 'E(26000) Z')
    await round(raw, encode.query('begin'))
    await round(raw, encode.parse('t', 'select 1'), bind('c', 't'), encode.sync())
    await round(raw, encode.query('close c; declare c cursor for select * from public.accounts'))
    assert.equal(await round(raw, execute('c'), encode.sync()), 'E(34000) Z')
    await round(raw, encode.query('rollback'))

    assert.deepEqual(await balances(), [100])
    assert.equal(told(seen?.operations ?? []).filter((line) => line.includes('refused')).length, 3)
  },
)

attack('a portal is over with its transaction', async ({ bed }) => {
  const raw = await bed.raw(changes)

  await round(raw, encode.parse('s', 'select 1'), bind('c', 's'), encode.sync())
  await round(raw, encode.query('begin'))

  assert.equal(await round(raw, execute('c'), encode.sync()), 'E(34000) Z')
})

attack('a pipeline over several transactions keeps its portals apart', async ({ bed }) => {
  const raw = await bed.raw(changes)
  const frames = Array.from({ length: 50 }, (_, n) => [...unnamed(`select ${n}`), encode.sync()]).flat()

  // In pieces, so that answers come in between.
  for (const piece of frames) raw.socket.write(piece)
  for (let n = 0; n < 50; n++) assert.equal(spoken(await raw.next('Z')), '1 2 D C Z')

  assert.deepEqual(
    told(bed.plane.seen[0]?.operations ?? []),
    Array.from({ length: 50 }, () => 'SELECT done'),
  )
})

attack('a COPY of the extended protocol is followed, whole and broken', async ({ bed }) => {
  const raw = await bed.raw(changes)
  const [seen] = bed.plane.seen
  const copy = unnamed('copy public.accounts from stdin')
  const data = (text: string) => encode.frame('d', Buffer.from(text))

  raw.send(...copy, encode.sync())
  await raw.next('G')
  // libpq sends a second Sync: the first one is ignored during the copy.
  assert.equal(await round(raw, data('2\t1\n'), encode.frame('c'), encode.sync()), 'C Z')
  raw.send(...copy, encode.sync())
  await raw.next('G')
  raw.send(data('x\n'))
  await raw.next('E')
  assert.equal(await round(raw, encode.frame('c'), encode.sync()), 'Z')
  raw.send(...copy, encode.sync(), data('3\t1\n'), encode.copyFail('no more'), encode.sync())
  assert.equal(spoken(await raw.next('Z')), '1 2 G E(57014) Z')
  assert.equal(await round(raw, ...unnamed('select 4'), encode.sync()), '1 2 D C Z')

  assert.deepEqual(told(seen?.operations ?? []), ['COPY done', 'COPY failed 22P02', 'COPY failed 57014', 'SELECT done'])
})

attack('a refusal inside a transaction that failed already keeps its state', async ({ bed }) => {
  const raw = await bed.raw(changes)

  await round(raw, encode.query('begin'))
  await round(raw, encode.query('select 1/0'))

  assert.equal(await round(raw, encode.query(BEYOND)), 'E(25P02) Z')
  assert.deepEqual(told(bed.plane.seen[0]?.operations ?? []).at(-1), 'GRANT refused 25P02')
})
