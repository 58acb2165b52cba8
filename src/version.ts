import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Of the package, as its package.json says, in the tree and when installed. */
export const VERSION: string = versionIn(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'))

function versionIn(text: string): string {
  const read: unknown = JSON.parse(text)
  if (typeof read === 'object' && read !== null && 'version' in read && typeof read.version === 'string') {
    return read.version
  }
  throw new Error('package.json has no version')
}
