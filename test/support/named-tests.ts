import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')

/** Whether the file of the tree has a test of this name, in any kind of quotes. */
export function hasTest(file: string, name: string): boolean {
  const path = join(ROOT, file)
  if (!/\.(?:test|interop)\.ts$/.test(file) || !existsSync(path)) return false
  const source = readFileSync(path, 'utf8')
  return ["'", '"', '`'].some(
    (quote) => source.includes(`test(${quote}${name}${quote}`) || source.includes(`(\n    ${quote}${name}${quote}`),
  )
}
