import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CalendarInvalid, parseCalendar } from './calendar.ts'

const PLACE = { target: 'orders', environment: 'production' }
// A Tuesday.
const at = (time: string, day = '01') => new Date(`2030-01-${day}T${time}:00Z`)

test('a window is open on its days between its times, the end not included', () => {
  const calendar = parseCalendar('windows: {day: {targets: [orders], days: [tue], from: "09:00", to: "17:00"}}')

  assert.deepEqual(calendar.window(PLACE, at('09:00')), { id: 'day', open: true })
  assert.deepEqual(calendar.window(PLACE, at('17:00')), { id: 'day', open: false })
  assert.deepEqual(calendar.window(PLACE, at('12:00', '02')), { id: 'day', open: false })
  assert.equal(calendar.window({ ...PLACE, target: 'billing' }, at('12:00')), undefined)
})

test('a window over midnight belongs to the day it began on', () => {
  const calendar = parseCalendar(
    'windows: {night: {environments: [production], days: [tue], from: "22:00", to: "04:00"}}',
  )

  assert.equal(calendar.window(PLACE, at('23:00'))?.open, true)
  assert.equal(calendar.window(PLACE, at('03:59', '02'))?.open, true)
  assert.equal(calendar.window(PLACE, at('03:59', '01'))?.open, false)
  assert.equal(calendar.window(PLACE, at('23:00', '02'))?.open, false)
})

test('an open window is found among closed ones', () => {
  const calendar = parseCalendar('windows: {shut: {days: [sun]}, open: {days: [tue]}}')

  assert.deepEqual(calendar.window(PLACE, at('12:00')), { id: 'open', open: true })
})

test('a freeze holds from its first instant to before its last', () => {
  const calendar = parseCalendar(
    'freezes: {year-end: {environments: [production], from: 2030-01-01T00:00:00Z, until: 2030-01-02T00:00:00Z}}',
  )

  assert.equal(calendar.isFrozen(PLACE, at('00:00')), true)
  assert.equal(calendar.isFrozen(PLACE, at('00:00', '02')), false)
  assert.equal(calendar.isFrozen({ ...PLACE, environment: 'test' }, at('00:00')), false)
})

test('a calendar with an unknown word or a time that does not exist is refused, naming the place', () => {
  assert.throws(() => parseCalendar('windows: {day: {fro: "09:00"}}'), CalendarInvalid)
  assert.throws(() => parseCalendar('windows: {day: {from: "25:00"}}'), /windows\.day\.from/)
})
