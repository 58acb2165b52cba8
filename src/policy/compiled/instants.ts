import { DateTime, Duration } from './extension-value.ts'
import { EvaluationFault } from './fault.ts'
import { add, divide, remainder, subtract, toLong, type Long } from './long.ts'

const DAY_MS = 86_400_000
const UNIT_MS = [DAY_MS, 3_600_000, 60_000, 1000, 1] as const

const DATE = /^([0-9]{4})-([0-9]{2})-([0-9]{2})/
const TIME = /^T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{3}))?(?:Z|([+-])([0-9]{2})([0-9]{2}))$/
const DURATION = /^-?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?$/

/** Reads `2026-01-31`, alone or with `T23:59:59`, `.999` and `Z` or an offset such as `+0200`. */
export function parseDateTime(text: string): DateTime {
  const [date = '', year, month, day] = DATE.exec(text) ?? []
  if (date === '') throw new EvaluationFault('not a datetime: expected YYYY-MM-DD')
  const midnight = daysSince1970(Number(year), Number(month), Number(day)) * DAY_MS
  if (date.length === text.length) return new DateTime(midnight)
  const time = TIME.exec(text.slice(date.length))
  if (!time) throw new EvaluationFault('not a datetime: expected Thh:mm:ss, .SSS if wanted, then Z or +hhmm')
  const [, hours, minutes, seconds, milliseconds = '0', sign, offsetHours = '0', offsetMinutes = '0'] = time
  const clock = clockMs(Number(hours), Number(minutes), Number(seconds))
  const offset = clockMs(Number(offsetHours), Number(offsetMinutes), 0)
  // 12:00+0200 is 10:00Z.
  return new DateTime(midnight + clock + Number(milliseconds) + (sign === '-' ? offset : -offset))
}

function clockMs(hours: number, minutes: number, seconds: number): number {
  if (hours > 23 || minutes > 59 || seconds > 59)
    throw new EvaluationFault('the time of day or its offset is out of range')
  return ((hours * 60 + minutes) * 60 + seconds) * 1000
}

/** Days of the Gregorian calendar, counted in eras of 400 years that begin on March 1st, so that a leap day is a year's last. */
function daysSince1970(year: number, month: number, day: number): number {
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  if (day < 1 || day > (lengths[month - 1] ?? 0)) throw new EvaluationFault('the date does not exist')
  const marchYear = month <= 2 ? year - 1 : year
  const era = Math.floor(marchYear / 400)
  const yearOfEra = marchYear - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** Reads `1d2h3m4s5ms` in this order, each part optional, with a minus before all of it if wanted. */
export function parseDuration(text: string): Duration {
  const parts = text === '' || text === '-' ? null : DURATION.exec(text)
  if (!parts) throw new EvaluationFault('not a duration: expected parts such as 1d2h3m4s5ms')
  const sign = text.startsWith('-') ? -1n : 1n
  let total: Long = 0
  // From milliseconds up to days: the order in which a sum may overflow is the reference's.
  for (let unit = UNIT_MS.length - 1; unit >= 0; unit -= 1) {
    const part = toLong(BigInt(parts[unit + 1] ?? '0') * BigInt(UNIT_MS[unit] ?? 0) * sign)
    const sum: Long | undefined = part === undefined ? undefined : add(total, part)
    if (sum === undefined) throw new EvaluationFault('the duration is out of range')
    total = sum
  }
  return new Duration(total)
}

export function offset(from: DateTime, by: Duration): DateTime {
  return new DateTime(inRange(add(from.ms, by.ms)))
}

export function durationSince(to: DateTime, from: DateTime): Duration {
  return new Duration(inRange(subtract(to.ms, from.ms)))
}

export function toDate(instant: DateTime): DateTime {
  return new DateTime(inRange(subtract(instant.ms, remainder(instant.ms, DAY_MS))))
}

export function toTime(instant: DateTime): Duration {
  return new Duration(remainder(instant.ms, DAY_MS))
}

/** The duration in whole units of so many milliseconds, cut towards zero. */
export function inUnits(duration: Duration, unitMs: number): Long {
  return divide(duration.ms, unitMs)
}

function inRange(ms: Long | undefined): Long {
  if (ms === undefined) throw new EvaluationFault('the time is out of range')
  return ms
}
