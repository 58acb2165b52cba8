/**
 * The prefilter in WebAssembly SIMD, sixteen bytes at a time: the words that begin at each of them are hashed, four in a vector, and looked up in one
 * table. Only where some word is known each of the four around it is asked about its neighbours. The module is assembled here at start-up.
 */
import { assemble, op, TYPE, type Code } from './assembler.ts'
import { FOLD, type Fragment } from './fragments.ts'
import { HASH_SHIFT, hashTables, IS_BASE64, multiplierFor, TABLE_BYTES } from './hash.ts'
import { BLOCK_BYTES, type Hits, type ScanBlock } from './hits.ts'

/** Where things lie in the module's memory: counts first, then tables, then what is looked at and what was found. */
const RUN_COUNT = 0
const CLASSES = 16
/** What may stand behind a word, and after it what may stand before. */
const HASHES = 4096
/** Read past the input's ends, and zero behind it. */
const PADDING = 64
const INPUT = HASHES + 2 * TABLE_BYTES + PADDING
const POSITIONS = INPUT + BLOCK_BYTES + PADDING
const RUNS = POSITIONS + 4 * (BLOCK_BYTES + PADDING)
const END = RUNS + BLOCK_BYTES / 4 + PADDING
const PAGES = Math.ceil(END / 65_536)

/** Locals of the function, by name. */
const [LENGTH, AT, TO, OUT, RUN_OUT, HASH, IS_RUN, WAS_RUN, GROUP] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const
const [CLASS, BYTES, LOW, HIGH, WORDS] = [12, 14, 15, 16, 17] as const
const INTEGERS = 11
const VECTORS = 9
const FOUR = [0, 1, 2, 3] as const

const fold = (...codes: (Code | readonly Code[])[]): Code => codes.flat(2)
const splat = (...bytes: number[]): Code =>
  op.v128Const(Uint8Array.from({ length: 16 }, (_, at) => bytes[at % bytes.length] ?? 0))
const bytesOf = (word: number): number[] => [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff)

/** Writes the place down, and moves on only if it is to stay: no branch that could be guessed wrongly. */
const keep = (out: number, place: Code, isKept: Code): Code =>
  fold(
    [op.get(out), place, op.i32(INPUT), op.sub, op.i32Store()],
    [op.get(out), isKept, op.i32(4), op.mul, op.add, op.set(out)],
  )

/** 1 if the tables know the word of HASH, with what stands behind it and before. */
const isKnown = (place: number): Code => {
  const allows = (table: number, neighbour: Code) =>
    fold([op.get(HASH), op.i32Load8(table), neighbour, op.i32(7), op.and, op.shrU])
  return fold(
    allows(HASHES, fold(op.get(AT), op.i32Load8(place + 4))),
    allows(HASHES + TABLE_BYTES, fold(op.get(AT), op.i32(1), op.sub, op.i32Load8(place))),
    [op.and, op.i32(1), op.and],
  )
}

/** The hashes of the words that begin at this byte and at each fourth from it on. */
const hashesAt = (shift: number, multiplier: number): Code =>
  fold(
    [op.get(AT), op.v128Load(shift), splat(...bytesOf(FOLD)), op.vOr, splat(...bytesOf(multiplier)), op.mul32],
    [op.i32(HASH_SHIFT), op.shrU32, op.set(WORDS + shift)],
  )

const hashAt = (place: number): Code => fold(op.get(WORDS + (place % 4)), op.laneOf32(Math.floor(place / 4)))

/** Four places side by side: not zero if the word of one of them may be known. */
const anyOf = (group: number): Code =>
  fold(
    FOUR.map((n) => fold(hashAt(4 * group + n), op.i32Load8(HASHES), n === 0 ? [] : op.or)),
    [op.tee(GROUP + group), group === 0 ? [] : op.or],
  )

const eachOf = (group: number): Code =>
  fold(
    op.get(GROUP + group),
    op.if(
      ...FOUR.map((n) => {
        const place = 4 * group + n
        const at = fold(op.get(AT), op.i32(place), op.add)
        return fold(hashAt(place), op.set(HASH), keep(OUT, at, isKnown(place)))
      }),
    ),
  )

const words = (multiplier: number): Code =>
  fold(
    FOUR.map((shift) => hashesAt(shift, multiplier)),
    FOUR.map(anyOf),
    op.if(...FOUR.map(eachOf)),
  )

/** Whether these sixteen and those before could all be of base64. */
const runs = (swizzle: Code): Code =>
  fold(
    [op.get(AT), op.v128Load(), op.tee(BYTES), splat(15), op.vAnd, op.set(LOW)],
    [op.get(BYTES), op.i32(4), op.shrU8, op.set(HIGH)],
    [op.get(CLASS), op.get(LOW), swizzle, op.get(CLASS + 1), op.get(HIGH), swizzle, op.vAnd, op.allTrue8],
    [op.set(IS_RUN), keep(RUN_OUT, op.get(AT), fold(op.get(IS_RUN), op.get(WAS_RUN), op.and))],
    [op.get(IS_RUN), op.set(WAS_RUN)],
  )

const eachSixteen = (swizzle: Code, multiplier: number): Code =>
  op.loop(
    words(multiplier),
    runs(swizzle),
    fold([op.get(AT), op.i32(16), op.add, op.tee(AT), op.get(TO), op.ltU, op.brIf(0)]),
  )

/** `scan(length)` gives the number of places; that of runs lies in memory. */
function moduleBytes(swizzle: Code, multiplier: number): Uint8Array<ArrayBuffer> {
  const classes = [0, 1].map((n) => fold(op.i32(CLASSES + 16 * n), op.v128Load(), op.set(CLASS + n)))
  const count = (out: number, from: number): Code => fold(op.get(out), op.i32(from), op.sub, op.i32(2), op.shrU)
  return assemble(
    {
      name: 'scan',
      parameters: 1,
      locals: [...Array(INTEGERS).fill(TYPE.i32), ...Array(VECTORS).fill(TYPE.v128)],
      body: [
        ...classes,
        fold([op.i32(INPUT), op.set(AT), op.i32(POSITIONS), op.set(OUT), op.i32(RUNS), op.set(RUN_OUT)]),
        fold([op.get(LENGTH), op.i32(INPUT), op.add, op.set(TO)]),
        eachSixteen(swizzle, multiplier),
        fold(op.i32(RUN_COUNT), count(RUN_OUT, RUNS), op.i32Store()),
        count(OUT, POSITIONS),
      ],
    },
    PAGES,
  )
}

/** Which halves of bytes make a base64 character: one bit for each row of the ASCII table, the two rows of letters from 1 on share one. */
function classTables(): Uint8Array {
  const rows = [2, 3, 4, 5, 7]
  const tables = new Uint8Array(32)
  rows.forEach((row, bit) => {
    for (let low = 0; low < 16; low += 1) {
      if (IS_BASE64[row * 16 + low] === 1) tables[low] = (tables[low] ?? 0) | (1 << bit)
    }
    tables[16 + row] = 1 << bit
  })
  tables[16 + 6] = 1 << rows.indexOf(4)
  return tables
}

/** The SIMD scan of a block, or nothing where the machine has no SIMD. */
export function openSimd(fragments: readonly Fragment[]): ScanBlock | undefined {
  const multiplier = multiplierFor(fragments)
  const code = [op.relaxedSwizzle, op.swizzle]
    .map((swizzle) => moduleBytes(swizzle, multiplier))
    .find((each) => WebAssembly.validate(each))
  if (!code) return undefined
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {})
  const { scan, memory } = exports
  if (typeof scan !== 'function' || !(memory instanceof WebAssembly.Memory)) return undefined
  const { buffer } = memory
  const bytes = new Uint8Array(buffer)
  bytes.set(classTables(), CLASSES)
  const { after, before } = hashTables(fragments, multiplier)
  bytes.set(after, HASHES)
  bytes.set(before, HASHES + TABLE_BYTES)
  const runCount = new Uint32Array(buffer, RUN_COUNT, 1)
  const hits: Hits = {
    positions: new Uint32Array(buffer, POSITIONS, BLOCK_BYTES + PADDING),
    count: 0,
    runs: new Uint32Array(buffer, RUNS, BLOCK_BYTES / 16 + 4),
    runCount: 0,
  }
  return (from, start, end) => {
    const size = end - start
    bytes.set(start === 0 && end === from.length ? from : from.subarray(start, end), INPUT)
    bytes[INPUT - 1] = from[start - 1] ?? 0
    for (let at = INPUT + size; at < INPUT + size + PADDING; at += 1) bytes[at] = 0
    hits.count = Number(scan(size))
    hits.runCount = runCount[0] ?? 0
    return hits
  }
}
