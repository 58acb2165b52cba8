import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import { silentLog } from './log.ts'
import { openHealth } from './health.ts'
import { openMetrics } from './metrics.ts'
import { openStop, stopOnSignals } from './stop.ts'

function aProcess() {
  const events = new EventEmitter()
  const exits: number[] = []
  const process = {
    on: (event: string, run: (error: unknown) => void) => events.on(event, run),
    exit: (code: number) => {
      exits.push(code)
      events.emit('exited')
    },
  }
  return { events, exits, process }
}

test('components close in the reverse order of their start, after readiness went', async () => {
  const seen: string[] = []
  const stop = openStop(silentLog)
  stop.add('database', { [Symbol.asyncDispose]: async () => void seen.push('database') })
  stop.add('clock', { [Symbol.dispose]: () => void seen.push('clock') })
  stop.add('listener', { [Symbol.asyncDispose]: async () => void seen.push('listener') })
  stop.onBegin(() => seen.push(`begin ${stop.signal.aborted}`))

  const [first, second] = await Promise.all([stop.now('test'), stop.now('again')])

  assert.deepEqual(seen, ['begin false', 'listener', 'clock', 'database'])
  assert.deepEqual([first, second, await stop.over], [true, true, true])
})

test('one that fails or never closes does not keep the others open', async () => {
  const seen: string[] = []
  const stop = openStop(silentLog)
  stop.add('last', { [Symbol.asyncDispose]: async () => void seen.push('last') })
  stop.add('broken', { [Symbol.dispose]: () => assert.fail('broken') })
  stop.add('stuck', { [Symbol.asyncDispose]: () => new Promise(() => undefined) }, 1)
  const alive = setInterval(() => undefined, 1_000)

  const isClean = await stop.now('test')
  clearInterval(alive)

  assert.deepEqual([isClean, seen], [false, ['last']])
})

test('a signal stops in order, a second one forces', async () => {
  const { events, exits, process } = aProcess()
  const stop = openStop(silentLog)
  const { promise, resolve } = Promise.withResolvers<void>()
  stop.add('slow', { [Symbol.asyncDispose]: () => promise })
  stopOnSignals(stop, process, silentLog)

  events.emit('SIGTERM')
  events.emit('SIGINT')
  resolve()
  await once(events, 'exited')

  assert.deepEqual(exits, [130, 0])
})

test('an error that reached nobody stops the process with a failure', async () => {
  const { events, exits, process } = aProcess()
  const stop = openStop(silentLog)
  stopOnSignals(stop, process, silentLog)

  events.emit('unhandledRejection', new Error('lost'))
  await once(events, 'exited')

  assert.deepEqual(exits, [1])
})

test('readiness needs every check, and draining ends it for good', async () => {
  const health = openHealth()
  health.add('clock', () => true)
  const listener = health.add('listener', async () => assert.fail('down'))

  const failing = await health.ready()
  listener[Symbol.dispose]()
  const ready = await health.ready()
  health.startDraining()

  assert.deepEqual(failing, { isReady: false, checks: { clock: 'ok', listener: 'failing', draining: 'ok' } })
  assert.ok(ready.isReady)
  assert.ok(!(await health.ready()).isReady)
  assert.throws(() => health.add('clock', () => true), /two checks/)
})

test('metrics of two registries do not mix, and a gauge may be read at the scrape', async () => {
  const [one, other] = [openMetrics({ withProcess: false }), openMetrics()]
  one.counter('reeve_things_total', 'Things.', ['kind']).inc({ kind: 'a' }, 2)
  let size = 1
  one.gauge('reeve_queue_size', 'Waiting.', [], () => size)
  size = 7

  const text = await one.text()

  assert.match(text, /reeve_things_total\{kind="a"\} 2/)
  assert.match(text, /reeve_queue_size 7/)
  assert.doesNotMatch(await other.text(), /reeve_/)
  assert.match(await other.text(), /process_cpu_seconds_total/)
  assert.throws(() => one.counter('things', 'Things.'), /must begin with reeve_/)
})
