import { equalBytes } from '../../kernel/crypto.ts'
import type { Seal } from '../../kernel/seal.ts'
import { ScimError } from './error.ts'

/** RFC 9865: places in a list, each good for the very list and filter it was made for. */
export type Cursors = {
  make(id: string, bound: string): string
  /** The id that the page comes after. Throws `invalidCursor` for what was not made here for this. */
  read(cursor: string, bound: string): string
}

const CURSOR = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([A-Za-z0-9_-]{16,100})$/

export function openCursors(seal: Pick<Seal, 'fingerprint'>): Cursors {
  const mark = (id: string, bound: string) =>
    Buffer.from(seal.fingerprint(`scim cursor ${id} ${bound}`))
      .toString('base64url')
      .slice(0, 64)
  return {
    make: (id, bound) => `${id}.${mark(id, bound)}`,
    read(cursor, bound) {
      const [, id = '', given = ''] = CURSOR.exec(cursor) ?? []
      if (id === '' || !equalBytes(Buffer.from(given), Buffer.from(mark(id, bound)))) {
        throw new ScimError(400, 'invalidCursor', 'The cursor was not made for this list; begin without one.')
      }
      return id
    },
  }
}
