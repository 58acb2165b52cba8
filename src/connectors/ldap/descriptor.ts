/** Security descriptors as far as they say who is let in, [MS-DTYP] §2.4. They are the directory's bytes: every length is held against what is there. */
import { sidAt } from './values.ts'

const HEADER_BYTES = 20
const ALLOWED = 0
const ALLOWED_OBJECT = 5
/** More entries than a list of 64 KiB can hold. */
const ENTRIES_MAX = 8_192

/** SIDs that its list of access lets in, each once; undefined where the bytes are no descriptor. One without a list lets everybody in. */
export function letIn(bytes: Buffer): string[] | undefined {
  if (bytes.length < HEADER_BYTES || bytes[0] !== 1) return undefined
  const control = bytes.readUInt16LE(2)
  const at = bytes.readUInt32LE(16)
  // §2.4.6: DP; no list, or a null one, restricts nobody.
  if ((control & 0x4) === 0 || at === 0) return ['S-1-1-0']
  if (at + 8 > bytes.length) return undefined
  const count = bytes.readUInt16LE(at + 4)
  if (count > ENTRIES_MAX) return undefined
  const found = new Set<string>()
  let place = at + 8
  for (let n = 0; n < count; n += 1) {
    if (place + 8 > bytes.length) return undefined
    const [type, size] = [bytes[place], bytes.readUInt16LE(place + 2)]
    if (size < 8 || place + size > bytes.length) return undefined
    const sid = sidAt(bytes.subarray(place, place + size), sidPlace(bytes, place, type))
    if (type === ALLOWED || type === ALLOWED_OBJECT) {
      if (sid === undefined) return undefined
      found.add(sid)
    }
    place += size
  }
  return [...found]
}

/** §2.4.4.3: an entry on an object has flags and up to two GUIDs before the SID. */
function sidPlace(bytes: Buffer, place: number, type: number | undefined): number {
  if (type !== ALLOWED_OBJECT || place + 12 > bytes.length) return 8
  const flags = bytes.readUInt32LE(place + 8)
  return 12 + ((flags & 1) === 0 ? 0 : 16) + ((flags & 2) === 0 ? 0 : 16)
}
