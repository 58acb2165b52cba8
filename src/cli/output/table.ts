import { fit, printable, widthOf } from './printable.ts'

export type Column = { readonly title: string; readonly cells: readonly string[] }

const GAP = '  '
/** A column is not cut below this: an id or a name would say nothing any more. */
const NARROWEST = 12

/** Columns under their titles. With `width` the widest are cut until a line fits; whatever is in a cell stays in its line. */
export function table(columns: readonly Column[], width?: number): string {
  const safe = columns.map(({ title, cells }) => ({
    title: printable(title).toUpperCase(),
    cells: cells.map(printable),
  }))
  const widths = safe.map(({ title, cells }) => Math.max(...[title, ...cells].map(widthOf)))
  if (width !== undefined) narrow(widths, width)
  const rows = Math.max(0, ...safe.map(({ cells }) => cells.length))
  const line = (cellsOf: (column: Column) => string) =>
    safe
      .map((column, at) => fit(cellsOf(column), widths[at] ?? 0))
      .join(GAP)
      .trimEnd()
  const lines = Array.from({ length: rows }, (_, row) => line(({ cells }) => cells[row] ?? ''))
  return [line(({ title }) => title), ...lines].map((text) => `${text}\n`).join('')
}

/** Labels with their values, one a line; a value of several lines is indented below. */
export function pairs(entries: readonly (readonly [label: string, value: string])[]): string {
  const wide = Math.max(0, ...entries.map(([label]) => widthOf(label)))
  const indent = ' '.repeat(wide + GAP.length)
  return entries
    .map(([label, value]) => {
      const [first = '', ...rest] = value.split('\n').map(printable)
      return [`${fit(printable(label), wide)}${GAP}${first}`.trimEnd(), ...rest.map((text) => indent + text)].join('\n')
    })
    .map((text) => `${text}\n`)
    .join('')
}

function narrow(widths: number[], width: number): void {
  const total = () => widths.reduce((sum, each) => sum + each, 0) + GAP.length * (widths.length - 1)
  while (total() > width) {
    const widest = widths.indexOf(Math.max(...widths))
    const now = widths[widest] ?? 0
    if (now <= NARROWEST) return
    widths[widest] = Math.max(NARROWEST, now - (total() - width), secondWidest(widths))
    if (widths[widest] === now) widths[widest] = now - 1
  }
}

function secondWidest(widths: readonly number[]): number {
  const sorted = widths.toSorted((a, b) => b - a)
  return sorted[1] ?? 0
}
