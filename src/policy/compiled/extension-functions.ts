import { parseDecimal } from './decimal.ts'
import { DateTime, Decimal, Duration, IpAddress } from './extension-value.ts'
import { EvaluationFault } from './fault.ts'
import { durationSince, inUnits, offset, parseDateTime, parseDuration, toDate, toTime } from './instants.ts'
import { isInRange, isLoopback, isMulticast, parseIp } from './ip.ts'
import { typeName, type Value } from './value.ts'

export type ExtensionType = 'decimal' | 'ipaddr' | 'datetime' | 'duration'
type ArgumentType = 'string' | ExtensionType

/** A function of an extension, as policies and data may call it. */
export type ExtensionFunction = {
  readonly takes: readonly ArgumentType[]
  readonly returns: ExtensionType | 'boolean' | 'long'
  /** Throws an `EvaluationFault` on arguments of a wrong type, and where there is no result. */
  readonly call: (values: readonly Value[]) => Value
}

function text(value: Value | undefined): string {
  if (typeof value === 'string') return value
  throw mistyped('a string', value)
}

function decimal(value: Value | undefined): Decimal {
  if (value instanceof Decimal) return value
  throw mistyped('a decimal', value)
}

function dateTime(value: Value | undefined): DateTime {
  if (value instanceof DateTime) return value
  throw mistyped('a datetime', value)
}

function duration(value: Value | undefined): Duration {
  if (value instanceof Duration) return value
  throw mistyped('a duration', value)
}

function ip(value: Value | undefined): IpAddress {
  if (value instanceof IpAddress) return value
  throw mistyped('an IP address', value)
}

function mistyped(expected: string, value: Value | undefined): EvaluationFault {
  return new EvaluationFault(`expected ${expected}, got ${value === undefined ? 'nothing' : typeName(value)}`)
}

function define(
  takes: readonly ArgumentType[],
  returns: ExtensionFunction['returns'],
  call: ExtensionFunction['call'],
): ExtensionFunction {
  return { takes, returns, call }
}

function comparing(holds: (a: Decimal, b: Decimal) => boolean): ExtensionFunction {
  return define(['decimal', 'decimal'], 'boolean', ([a, b]) => {
    const left = decimal(a)
    return holds(left, decimal(b))
  })
}

function counting(unitMs: number): ExtensionFunction {
  return define(['duration'], 'long', ([value]) => inUnits(duration(value), unitMs))
}

function testing(holds: (address: IpAddress) => boolean): ExtensionFunction {
  return define(['ipaddr'], 'boolean', ([value]) => holds(ip(value)))
}

/** Every extension function there is, by the name that policies call it. */
export const extensionFunctions: ReadonlyMap<string, ExtensionFunction> = new Map([
  ['decimal', define(['string'], 'decimal', ([value]) => parseDecimal(text(value)))],
  ['lessThan', comparing((a, b) => a.units < b.units)],
  ['lessThanOrEqual', comparing((a, b) => a.units <= b.units)],
  ['greaterThan', comparing((a, b) => a.units > b.units)],
  ['greaterThanOrEqual', comparing((a, b) => a.units >= b.units)],
  ['ip', define(['string'], 'ipaddr', ([value]) => parseIp(text(value)))],
  ['isIpv4', testing((address) => address.bits === 32)],
  ['isIpv6', testing((address) => address.bits === 128)],
  ['isLoopback', testing(isLoopback)],
  ['isMulticast', testing(isMulticast)],
  [
    'isInRange',
    define(['ipaddr', 'ipaddr'], 'boolean', ([inner, outer]) => {
      const address = ip(inner)
      return isInRange(address, ip(outer))
    }),
  ],
  ['datetime', define(['string'], 'datetime', ([value]) => parseDateTime(text(value)))],
  ['duration', define(['string'], 'duration', ([value]) => parseDuration(text(value)))],
  ['offset', define(['datetime', 'duration'], 'datetime', ([from, by]) => offset(dateTime(from), duration(by)))],
  [
    'durationSince',
    define(['datetime', 'datetime'], 'duration', ([to, from]) => durationSince(dateTime(to), dateTime(from))),
  ],
  ['toDate', define(['datetime'], 'datetime', ([instant]) => toDate(dateTime(instant)))],
  ['toTime', define(['datetime'], 'duration', ([instant]) => toTime(dateTime(instant)))],
  ['toMilliseconds', counting(1)],
  ['toSeconds', counting(1000)],
  ['toMinutes', counting(60_000)],
  ['toHours', counting(3_600_000)],
  ['toDays', counting(86_400_000)],
])

/** The function that makes a value of the type from one string. */
export const constructors: Readonly<Record<ExtensionType, string>> = {
  decimal: 'decimal',
  ipaddr: 'ip',
  datetime: 'datetime',
  duration: 'duration',
}
