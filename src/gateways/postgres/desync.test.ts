import assert from 'node:assert/strict'
import { asAdmin, attack, bind, changes, execute, HALF, round, unnamed } from '../../../test/support/gateway-attack.ts'
import { spoken, told, until } from '../../../test/support/gateway.ts'
import * as encode from './wire/encode.ts'

const LONG = 'x'.repeat(63)
const copyData = (text: string) => encode.frame('d', Buffer.from(text))

attack('names that are one to the server are never two to the record', async ({ bed, balances }) => {
  const raw = await bed.raw(changes)
  const [seen] = bed.plane.seen

  // The server cuts names to 63 bytes: both of these are the same statement to it.
  await round(raw, encode.parse(`${LONG}a`, 'select 1'), encode.sync())
  await round(raw, encode.close('S', `${LONG}b`), encode.sync())
  await round(raw, encode.parse(`${LONG}b`, HALF), encode.sync())
  await round(raw, bind('', `${LONG}a`), execute(''), encode.sync())

  assert.deepEqual(await balances(), [100])
  assert.ok(!told(seen?.operations ?? []).includes('SELECT done'))
})

attack('portals that are one to the server are never two to the record', async ({ bed, balances }) => {
  const raw = await bed.raw(changes)
  const [seen] = bed.plane.seen

  await round(raw, encode.parse('a', 'select 1'), encode.parse('b', HALF), encode.sync())
  const swapped = [bind(`${LONG}a`, 'a'), encode.close('P', `${LONG}b`), bind(`${LONG}b`, 'b')]
  await round(raw, ...swapped, execute(`${LONG}a`), encode.sync())

  assert.deepEqual(await balances(), [100])
  assert.ok(!told(seen?.operations ?? []).includes('SELECT done'))
})

attack('a name of 63 bytes is an ordinary one', async ({ bed, balances }) => {
  const raw = await bed.raw(changes)

  assert.equal(await round(raw, encode.parse(LONG, HALF), encode.sync()), '1 Z')
  assert.equal(await round(raw, bind(LONG, LONG), execute(LONG), encode.sync()), '2 C Z')

  assert.deepEqual(await balances(), [0])
})

/** A COPY that fails behind its CopyInResponse and before the server reads anything. */
const FROZEN = 'copy public.accounts from stdin with (freeze)'

attack('what ran behind a COPY that failed unread is not recorded as skipped', async ({ bed, balances }) => {
  const raw = await bed.raw(changes)
  const [seen] = bed.plane.seen

  raw.send(...unnamed(FROZEN), encode.sync(), ...unnamed(HALF), encode.sync())
  await until(() => raw.isClosed)

  const lines = told(seen?.operations ?? [])
  assert.ok(
    !lines.some((line) => line.startsWith('UPDATE failed')),
    `${lines.join(', ')} with ${String(await balances())}`,
  )
  assert.ok(
    lines.some((line) => line.startsWith('UPDATE cut')),
    lines.join(', '),
  )
})

attack('the gateway knows that a COPY that failed unread let its Sync count', async ({ bed, balances }) => {
  const raw = await bed.raw(changes)
  const [seen] = bed.plane.seen

  raw.send(...unnamed(FROZEN), encode.sync())
  assert.match(spoken(await raw.next('Z')), /G E\(.*\) Z/)
  assert.equal(await round(raw, ...unnamed(HALF), encode.sync()), '1 2 C Z')

  assert.deepEqual(await balances(), [0])
  assert.equal(told(seen?.operations ?? []).at(-1), 'UPDATE done')
})

attack('a Sync that a simple COPY swallowed does not shift the record', async ({ bed }) => {
  const raw = await bed.raw(changes)
  const [seen] = bed.plane.seen

  raw.send(encode.query('copy public.accounts from stdin'))
  await raw.next('G')
  raw.send(encode.sync(), copyData('2\t1\n'), encode.frame('c'))
  await until(() => raw.isClosed)

  assert.deepEqual(told(seen?.operations ?? []), ['COPY done'])
})

attack('a pipeline does not run one statement under the record of another', async ({ bed, balances }) => {
  const run = (name: string) => [bind('', name), execute(''), encode.sync()]
  const swaps = (name: string) => [
    // Fails where there is a name, and makes the server skip where there is none: the old statement stays either way.
    [encode.parse(name, 'select 1'), encode.sync()],
    [encode.parse('x', 'select * from nowhere'), encode.parse(name, 'select 1'), encode.sync()],
    [
      encode.parse('x', 'select * from nowhere'),
      encode.close('S', name),
      encode.sync(),
      encode.parse(name, 'select 1'),
      encode.sync(),
    ],
  ]
  for (const name of ['s', '']) {
    for (const swap of swaps(name).slice(name === '' ? 1 : 0)) {
      const raw = await bed.raw(changes)
      const seen = bed.plane.seen.at(-1)
      await round(raw, encode.parse(name, HALF), encode.sync())

      raw.send(...swap, ...run(name), encode.query('select 2'))
      await until(() => seen?.operations.at(-1)?.statement === 'select $1')

      const lines = told(seen?.operations ?? [])
      assert.deepEqual(await balances(), [100], lines.join(', '))
    }
  }
})

attack('a name that was replaced is used again once the answer has come', async ({ bed, balances }) => {
  const raw = await bed.raw(changes)
  const [seen] = bed.plane.seen

  await round(raw, encode.parse('s', 'select 1'), encode.sync())
  await round(raw, encode.close('S', 's'), encode.parse('s', HALF), encode.sync())
  assert.equal(await round(raw, bind('', 's'), execute(''), encode.sync()), '2 C Z')
  const anew = [encode.close('S', 's'), encode.parse('s', 'select 1'), bind('', 's'), execute(''), encode.sync()]
  assert.equal(await round(raw, ...anew), '3 1 2 D C Z')

  assert.deepEqual(await balances(), [0])
  assert.deepEqual(told(seen?.operations ?? []), ['UPDATE done', 'SELECT done'])
})

const OFF = "'select set_config(''standard_conforming_strings'', ''off'', false)'"
const CALL = `select query_to_xml(${OFF}, true, false, '')`
/** Two strings to whoever reads it with standard_conforming_strings on; else a string and a command. */
const TWO_FACED = "select '\\', '; create table lease.hidden (); --'"

attack(
  'code that changes how statements are read is not overtaken by one that is then read otherwise',
  async (world) => {
    const { bed, cluster } = world
    const H = encode.frame('H')
    const pipelines = [
      [encode.query(CALL), encode.query(TWO_FACED)],
      [...unnamed(CALL), encode.sync(), ...unnamed("select '\\'"), encode.query(TWO_FACED)],
      [...unnamed(CALL), H, encode.parse('', TWO_FACED), bind('', ''), execute(''), encode.sync()],
      [encode.parse('f', CALL), encode.sync(), bind('', 'f'), execute(''), encode.sync(), encode.query(TWO_FACED)],
    ]
    for (const pipeline of pipelines) {
      const raw = await bed.raw(changes)
      raw.send(...pipeline, encode.terminate())
      await until(() => raw.isClosed)
      assert.deepEqual(await asAdmin(cluster, "select relname from pg_class where relname = 'hidden'"), [])
    }
  },
)

attack('a backslash behind a function is fine once the function has answered', async ({ bed }) => {
  const raw = await bed.raw(changes)

  await round(raw, encode.query('select pg_advisory_lock(1)'))

  assert.equal(await round(raw, encode.query("select '\\'")), 'T D C Z')
})
