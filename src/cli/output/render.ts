import { z } from 'zod'
import type { Output } from '../io.ts'
import { isRecord } from '../record.ts'
import { besideText, laidOut, notSeenText } from './layouts.ts'
import { isSteering, printable, printableJson, printableLines } from './printable.ts'
import { pairs, table } from './table.ts'

export const FORMATS = ['table', 'wide', 'json', 'yaml', 'name'] as const
export type Format = (typeof FORMATS)[number]

/** Writes an answer as a person or a program wants it. `schema` says which fields there are, and in which order. */
export async function render(out: Output, format: Format, schema: z.core.$ZodType, value: unknown): Promise<void> {
  if (value === undefined) return
  switch (format) {
    case 'json':
      out.write(`${printableJson(value)}\n`)
      return
    case 'yaml':
      out.write(await yaml(value))
      return
    case 'name':
      for (const row of rowsOf(value) ?? [value]) out.write(`${printable(nameOf(row))}\n`)
      return
    case 'table':
    case 'wide':
      out.write(laidOut(schema, value) ?? forPeople(out, format, schema, value))
  }
}

function forPeople(out: Output, format: 'table' | 'wide', schema: z.core.$ZodType, value: unknown): string {
  if (!isRecord(value)) return `${printable(cell(value))}\n`
  const { coverage, ...rest } = value
  const rows = rowsOf(value)
  if (rows && Array.isArray(value['unseen']))
    return `${rowsOrFields(out, format, schema, value)}${notSeenText(value['unseen'], value['moreUnseen'])}`
  const beside = besideText(coverage, (rows ?? []).length === 0)
  return `${rowsOrFields(out, format, schema, beside === '' ? value : rest)}${beside}`
}

function rowsOrFields(
  out: Output,
  format: 'table' | 'wide',
  schema: z.core.$ZodType,
  value: Record<string, unknown>,
): string {
  const rows = rowsOf(value)
  if (!rows) return details(value)
  if (rows.length === 0) return 'nothing\n'
  const names = columnsOf(itemOf(schema), rows, format)
  const columns = names.map((name) => ({ title: words(name), cells: rows.map((row) => cell(row[name])) }))
  return table(columns, format === 'table' && out.isTTY ? out.columns : undefined)
}

/** The rows of a page or of a whole list, or undefined for what is neither. */
export function rowsOf(value: unknown): Record<string, unknown>[] | undefined {
  const items = isRecord(value) ? value['items'] : undefined
  return Array.isArray(items) ? items.filter(isRecord) : undefined
}

function itemOf(schema: z.core.$ZodType): z.core.$ZodType {
  const items = schema instanceof z.ZodObject ? schema.shape['items'] : undefined
  return items instanceof z.ZodArray ? items.element : schema
}

/** A table of more columns than this is read by nobody. */
const MOST_COLUMNS = 8
/** Said by something else in the row, or of no use to a person who looks at many. */
const MINOR =
  /(?:Sha256|Id|By|Version|Seconds)$|^(?:version|cause|createdAt|search|description|displayName|evidence|fields)$/

/** What somebody looks at a list for: whether it waits, lives or is over, and why. */
const VITAL = /^(?:state|expiresAt|endedAt|endReason)$/

function isVital(name: string): boolean {
  return VITAL.test(name)
}

function columnsOf(
  item: z.core.$ZodType,
  rows: readonly Record<string, unknown>[],
  format: 'table' | 'wide',
): string[] {
  const known = item instanceof z.ZodObject ? Object.keys(item.shape) : Object.keys(rows[0] ?? {})
  const flat = known.filter((name) => rows.some((row) => isFlat(row[name])))
  const lead = flat.includes('name') ? 'name' : flat.includes('id') ? 'id' : undefined
  const rest = flat.filter((name) => name !== lead)
  const ordered = lead === undefined ? rest : [lead, ...rest]
  if (format === 'wide') return ordered
  const major = ordered.filter((name) => name === lead || (name !== 'id' && !MINOR.test(name)))
  // A column in which no row has anything says nothing.
  const said = major.filter((name) => rows.some((row) => cell(row[name]) !== '-'))
  const others = said.filter((name) => !isVital(name)).slice(0, MOST_COLUMNS - said.filter(isVital).length)
  return said.filter((name) => isVital(name) || others.includes(name))
}

function isFlat(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((member) => typeof member !== 'object')
  return !isRecord(value) || typeof value['name'] === 'string'
}

function details(value: Record<string, unknown>): string {
  return pairs(Object.entries(value).map(([name, member]) => [words(name), lines(member)]))
}

function lines(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(cell).join('\n')
  return isRecord(value) ? JSON.stringify(value) : cell(value)
}

function cell(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(cell).join(', ')
  return isRecord(value) && typeof value['name'] === 'string'
    ? placed(value['name'], value['source'])
    : JSON.stringify(value)
}

/** What stands somewhere, as commands take it. */
function placed(name: string, source: unknown): string {
  return typeof source === 'string' ? `${name}@${source}` : name
}

function nameOf(value: unknown): string {
  if (!isRecord(value)) return cell(value)
  // A change that was applied is called by what its operation answered, or by itself where that has no name.
  const change = value['change']
  if (isRecord(change) && 'answer' in value) return nameOf(isNamed(value['answer']) ? value['answer'] : change)
  const { name, id } = value
  return typeof name === 'string' ? name : typeof id === 'string' ? id : JSON.stringify(value)
}

function isNamed(value: unknown): boolean {
  return isRecord(value) && (typeof value['name'] === 'string' || typeof value['id'] === 'string')
}

/** `ownerTeam` as `owner team`. */
function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

async function yaml(value: unknown): Promise<string> {
  const { Document, visit } = await import('yaml')
  const document = new Document(value)
  visit(document, {
    Scalar(_key, node) {
      // Only the double-quoted form can spell characters out (YAML 1.2 §5.7).
      if (typeof node.value === 'string' && isSteering(node.value)) node.type = 'QUOTE_DOUBLE'
    },
  })
  return printableLines(document.toString({ lineWidth: 0 }))
}
