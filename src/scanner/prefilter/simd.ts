/** The prefilter in WebAssembly SIMD: its memory is filled with what the fragments say, and blocks are copied into it. */
import { op } from './assembler.ts'
import { STRIDE, type Fragment } from './fragments.ts'
import { multiplierFor, slotsOf } from './hash.ts'
import { BLOCK_BYTES, type Hits, type ScanBlock } from './hits.ts'
import { constants, entry, HIT_BYTES, layout, moduleOf, row } from './module.ts'
import { classTables, numbersOfBits, ROW_BEFORE, writeCommon } from './tables.ts'

const PAGE_BYTES = 65_536

type Slots = ReadonlyMap<number, readonly Fragment[]>

/** The SIMD scan of a block, or nothing where the machine has no SIMD. */
export function openSimd(fragments: readonly Fragment[]): ScanBlock | undefined {
  const multiplier = multiplierFor(fragments)
  const slots = slotsOf(fragments, multiplier)
  const lengths = Array.from(slots.values(), ({ length }) => length)
  const entriesAt = layout.ROWS + row.BYTES * slots.size
  const hitsAt = entriesAt + entry.BYTES * lengths.reduce((all, length) => all + length, 0)
  // Memory that is not written to takes none of the machine's.
  const mostHits = (BLOCK_BYTES / STRIDE + 32) * Math.max(1, ...lengths)
  const pages = Math.ceil((hitsAt + HIT_BYTES * mostHits) / PAGE_BYTES)
  const code = [op.relaxedSwizzle, op.swizzle]
    .map((swizzle) => moduleOf(swizzle, { multiplier, hitsAt, pages }))
    .find((each) => WebAssembly.validate(each))
  if (!code) return undefined
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {})
  const { scan, memory } = exports
  if (typeof scan !== 'function' || !(memory instanceof WebAssembly.Memory)) return undefined
  const { buffer } = memory
  const bytes = new Uint8Array(buffer)
  bytes.set(new Uint8Array(constants(multiplier).buffer), layout.CONSTANTS)
  bytes.set(classTables(), layout.CLASSES)
  bytes.set(numbersOfBits(STRIDE), layout.NUMBERS)
  fillTables(buffer, slots, entriesAt)
  const runCount = new Uint32Array(buffer, layout.RUN_COUNT, 1)
  const hits: Hits = {
    found: new Int32Array(buffer, hitsAt, 2 * mostHits),
    count: 0,
    runs: new Int32Array(buffer, layout.RUNS, BLOCK_BYTES / 16),
    runCount: 0,
  }
  return (from, start, end) => {
    bytes.set(start === 0 && end === from.length ? from : from.subarray(start, end), layout.INPUT)
    hits.count = Number(scan(end - start))
    hits.runCount = runCount[0] ?? 0
    return hits
  }
}

/** A row for each hash, and its entries one behind the other. */
function fillTables(memory: ArrayBuffer, slots: Slots, entriesAt: number): void {
  const [bytes, words] = [new Uint8Array(memory), new Uint32Array(memory)]
  let [rowAt, entryAt]: [number, number] = [layout.ROWS, entriesAt]
  for (const [hash, fragments] of slots) {
    bytes[layout.IS_KNOWN + hash] = 1
    words[layout.ROW_OF / 4 + hash] = rowAt
    writeCommon(fragments, ROW_BEFORE, bytes, rowAt + row.MASK)
    words[(rowAt + row.ENTRIES) / 4] = entryAt
    rowAt += row.BYTES
    fragments.forEach((fragment, at) => {
      writeCommon([fragment], fragment.offset, bytes, entryAt + entry.MASK)
      words[(entryAt + entry.OFFSET) / 4] = fragment.offset
      words[(entryAt + entry.NUMBER) / 4] = fragment.number
      words[(entryAt + entry.HAS_MORE) / 4] = at + 1 < fragments.length ? 1 : 0
      entryAt += entry.BYTES
    })
  }
}
