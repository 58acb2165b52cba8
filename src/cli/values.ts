import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { usage } from './failure.ts'
import type { Io } from './io.ts'
import { isRecord } from './record.ts'
import type { Field } from './shape.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }
/** What a command takes from a file is written by hand, or is a key. */
const FILE_MAX_BYTES = 1_000_000

/** Seconds of `90`, `90s`, `15m`, `1h30m` or `7d`. */
export function durationSeconds(text: string): number | undefined {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  if (!/^(?:\d{1,9}[smhd])+$/.test(text)) return undefined
  return [...text.matchAll(/(\d+)([smhd])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? 's'] ?? 1),
    0,
  )
}

/** The same the other way round: `90s`, `15m`, `1h30m`, `7d`. */
export function durationText(seconds: number): string {
  let left = seconds
  const parts = ['d', 'h', 'm', 's'].flatMap((unit) => {
    const size = UNITS[unit] ?? 1
    const count = Math.floor(left / size)
    left -= count * size
    return count === 0 ? [] : [`${count}${unit}`]
  })
  return parts.join('') || '0s'
}

/** The value that was given for a field, in the form it has on the wire. Throws a `Failure` that names the option. */
export async function valueOf(io: Io, field: Field, given: unknown): Promise<unknown> {
  // `--no-…`: of what can be empty it empties, of what is yes or no it is no.
  if (given === false && field.kind !== 'boolean') return null
  if (field.kind === 'boolean') return given
  if (field.kind === 'list') return Array.isArray(given) ? given : [given]
  if (field.kind === 'map') return mapOf(io, field, Array.isArray(given) ? given.map(String) : [String(given)])
  return scalarOf(io, field, String(given))
}

async function scalarOf(io: Io, field: Field, text: string): Promise<unknown> {
  const { kind, option } = field
  if (kind === 'number') {
    if (!/^-?\d+(?:\.\d+)?$/.test(text)) throw usage(`--${option} takes a number.`)
    return Number(text)
  }
  if (kind === 'duration') {
    const seconds = durationSeconds(text)
    if (seconds === undefined) throw usage(`--${option} takes a duration such as 90s, 15m, 1h30m or 7d.`)
    return seconds
  }
  if (kind === 'json') return parsedJson(field, text.startsWith('@') ? await textOf(io, text.slice(1)) : text)
  if (kind === 'secret-text') return (await textOf(io, text)).replace(/\r?\n$/, '')
  return kind === 'secret-json' ? parsedJson(field, await textOf(io, text)) : text
}

async function mapOf(io: Io, field: Field, given: readonly string[]): Promise<Record<string, unknown>> {
  const entries = new Map<string, unknown>()
  for (const text of given) {
    if (text.startsWith('{') || text.startsWith('@')) {
      const whole = parsedJson(field, text.startsWith('@') ? await textOf(io, text.slice(1)) : text)
      if (!isRecord(whole)) throw usage(`--${field.option} takes key=value, or a JSON object.`)
      for (const [key, value] of Object.entries(whole)) entries.set(key, value)
      continue
    }
    const at = text.indexOf('=')
    if (at < 1) throw usage(`--${field.option} takes key=value, or a JSON object.`)
    entries.set(text.slice(0, at), text.slice(at + 1))
  }
  return Object.fromEntries(entries)
}

function parsedJson(field: Field, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    const form =
      field.kind === 'secret-json' ? 'names a file that holds JSON' : 'takes JSON, or @ and a file that holds it'
    throw usage(`--${field.option} ${form}.`)
  }
}

/** The text of a file, or of standard input for `-`. */
export async function textOf(io: Io, path: string): Promise<string> {
  if (path === '-') return io.readStdin()
  try {
    const bytes = readFileSync(resolve(io.workingFolder, path))
    if (bytes.length > FILE_MAX_BYTES) throw usage(`${path} is too large to be what it should be.`)
    return bytes.toString('utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error) throw usage(`${path} cannot be read (${String(error.code)}).`)
    throw error
  }
}

/** The input that `--from` names: JSON or YAML. */
export async function documentOf(io: Io, path: string): Promise<Record<string, unknown>> {
  const text = await textOf(io, path)
  const { parse } = await import('yaml')
  let value: unknown
  try {
    // No aliases: an input needs none, and they multiply.
    value = parse(text, { maxAliasCount: 0, uniqueKeys: true, prettyErrors: false })
  } catch {
    throw usage(`${path === '-' ? 'Standard input' : path} is neither JSON nor YAML.`)
  }
  if (!isRecord(value)) throw usage(`${path === '-' ? 'Standard input' : path} does not hold a map of fields.`)
  return value
}
