/**
 * The prefilter in WebAssembly SIMD. Sixteen bytes at a time: two look-ups of nibbles for each of four places of a fragment say which buckets a byte may
 * belong to, shifted together they leave the places at which some bucket holds for four bytes in a row. Of those, a hash of the four bytes (and
 * one of three) says whether any fragment can be meant. The module is assembled here at start-up.
 */
import { assemble, op, TYPE, type Code } from './assembler.ts'
import { bucketsOf, FOLD, nibbleTables, type Fragment } from './fragments.ts'
import { hashTable, HASH_SHIFT, IS_BASE64, MULTIPLIER, TABLE_BYTES } from './hash.ts'
import { BLOCK_BYTES, type ScanBlock } from './hits.ts'

/** Where things lie in the module's memory. */
const RUN_COUNT = 0
const NIBBLES = 16
const CLASSES = NIBBLES + 256
const HASH4 = 4096
const HASH3 = HASH4 + TABLE_BYTES
const INPUT = HASH3 + TABLE_BYTES
/** Read past the input's end, and zero. */
const PADDING = 64
const POSITIONS = INPUT + BLOCK_BYTES + PADDING
const RUNS = POSITIONS + 4 * (BLOCK_BYTES + PADDING)
const END = RUNS + BLOCK_BYTES / 4 + PADDING
const PAGES = Math.ceil(END / 65_536)

/** Locals of the function, by name. */
const [LENGTH, AT, TO, OUT, RUN_OUT, MASK, START, WORD, BIT, ALL, WAS_ALL] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as const
const [TABLES, CLASS, INPUT16, LOW, HIGH, PLACES, BEFORE] = [11, 27, 29, 30, 31, 32, 40] as const
const INTEGERS = 10
const VECTORS = 35
/** Eight buckets fit a byte, so the sixteen are two of everything. */
const HALVES = [0, 1] as const

const fold = (...codes: (Code | readonly Code[])[]): Code => codes.flat(2)

/** `to` = the buckets of the 16 bytes at one place of a fragment. */
const lookUp = (to: number, tables: number): Code =>
  fold([op.get(tables), op.get(LOW), op.swizzle], [op.get(tables + 1), op.get(HIGH), op.swizzle], [op.vAnd, op.set(to)])

/** The vector that began `by` bytes earlier: the last of the one before, then this one's first. */
const earlier = (before: number, now: number, by: number): Code =>
  fold(op.get(before), op.get(now), op.shuffle(Array.from({ length: 16 }, (_, lane) => 16 - by + lane)))

/** 1 if the bit of a word's hash is set in a table. */
const bitOf = (table: number, word: Code): Code =>
  fold(
    [word, op.i32(MULTIPLIER), op.mul, op.i32(HASH_SHIFT), op.shrU, op.tee(BIT)],
    [op.i32(3), op.shrU, op.i32Load8(table), op.get(BIT), op.i32(7), op.and, op.shrU],
  )

/** Writes the place down, and moves on only if it is to stay: no branch that could be guessed wrongly. */
const keep = (out: number, place: Code, isKept: Code): Code =>
  fold(
    [op.get(out), place, op.i32(INPUT), op.sub, op.i32Store()],
    [op.get(out), isKept, op.i32(4), op.mul, op.add, op.set(out)],
  )

const eachCandidate: Code = op.loop(
  fold([op.get(AT), op.get(MASK), op.ctz, op.add, op.i32(3), op.sub, op.tee(START)]),
  fold([op.i32Load(), op.i32(FOLD), op.or, op.set(WORD)]),
  keep(
    OUT,
    op.get(START),
    fold(bitOf(HASH4, op.get(WORD)), bitOf(HASH3, fold(op.get(WORD), op.i32(0xffffff), op.and)), [
      op.or,
      op.i32(1),
      op.and,
    ]),
  ),
  fold([op.get(MASK), op.get(MASK), op.i32(1), op.sub, op.and, op.tee(MASK), op.brIf(0)]),
)

/** The buckets of one half that hold for the four bytes that end at each of the sixteen. */
const bucketsHere = (half: number): Code => {
  const [places, before] = [PLACES + 4 * half, BEFORE + 3 * half]
  return fold(
    [0, 1, 2, 3].map((place) => lookUp(places + place, TABLES + 8 * half + 2 * place)),
    [op.get(places + 3), earlier(before + 2, places + 2, 1), op.vAnd],
    [earlier(before + 1, places + 1, 2), op.vAnd, earlier(before, places, 3), op.vAnd],
  )
}

const eachSixteen: Code = op.loop(
  fold([op.get(AT), op.v128Load(), op.tee(INPUT16), op.v128Const(new Uint8Array(16).fill(15)), op.vAnd, op.set(LOW)]),
  fold([op.get(INPUT16), op.i32(4), op.shrU8, op.set(HIGH)]),
  fold(HALVES.map((half) => bucketsHere(half))),
  fold(
    [op.vOr, op.v128Const(new Uint8Array(16)), op.ne8, op.bitmask8, op.tee(MASK), op.if(eachCandidate)],
    HALVES.flatMap((half) => [0, 1, 2].map((n) => fold(op.get(PLACES + 4 * half + n), op.set(BEFORE + 3 * half + n)))),
  ),
  fold(
    [op.get(CLASS), op.get(LOW), op.swizzle, op.get(CLASS + 1), op.get(HIGH), op.swizzle, op.vAnd],
    [op.allTrue8, op.set(ALL)],
    [keep(RUN_OUT, op.get(AT), fold(op.get(ALL), op.get(WAS_ALL), op.and)), op.get(ALL), op.set(WAS_ALL)],
  ),
  fold([op.get(AT), op.i32(16), op.add, op.tee(AT), op.get(TO), op.ltU, op.brIf(0)]),
)

/** `scan(length)`: positions from POSITIONS on, runs from RUNS on; gives the number of positions. */
function moduleBytes(): Uint8Array<ArrayBuffer> {
  const tables = Array.from({ length: 16 }, (_, n) => fold(op.i32(NIBBLES + 16 * n), op.v128Load(), op.set(TABLES + n)))
  const classes = [0, 1].map((n) => fold(op.i32(CLASSES + 16 * n), op.v128Load(), op.set(CLASS + n)))
  return assemble(
    {
      name: 'scan',
      parameters: 1,
      locals: [...Array(INTEGERS).fill(TYPE.i32), ...Array(VECTORS).fill(TYPE.v128)],
      body: [
        ...tables,
        ...classes,
        fold([op.i32(INPUT), op.set(AT), op.i32(POSITIONS), op.set(OUT), op.i32(RUNS), op.set(RUN_OUT)]),
        // Three bytes more: the fragment that ends with the input has its open fourth place behind it.
        fold([op.get(LENGTH), op.i32(INPUT + 3), op.add, op.set(TO)]),
        eachSixteen,
        fold([op.i32(RUN_COUNT), op.get(RUN_OUT), op.i32(RUNS), op.sub, op.i32(2), op.shrU, op.i32Store()]),
        fold([op.get(OUT), op.i32(POSITIONS), op.sub, op.i32(2), op.shrU]),
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
export function openTeddy(fragments: readonly Fragment[]): ScanBlock | undefined {
  const code = moduleBytes()
  if (!WebAssembly.validate(code)) return undefined
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {})
  const { scan, memory } = exports
  if (typeof scan !== 'function' || !(memory instanceof WebAssembly.Memory)) return undefined
  const bytes = new Uint8Array(memory.buffer)
  const buckets = bucketsOf(fragments)
  for (const half of HALVES) bytes.set(nibbleTables(buckets.slice(8 * half, 8 * half + 8)), NIBBLES + 128 * half)
  bytes.set(classTables(), CLASSES)
  bytes.set(hashTable(fragments, 4), HASH4)
  bytes.set(hashTable(fragments, 3), HASH3)
  const positions = new Uint32Array(memory.buffer, POSITIONS, BLOCK_BYTES + PADDING / 4)
  const runs = new Uint32Array(memory.buffer, RUNS, BLOCK_BYTES / 16 + 4)
  const runCount = new Uint32Array(memory.buffer, RUN_COUNT, 1)
  return (block, hits) => {
    bytes.set(block, INPUT)
    bytes.fill(0, INPUT + block.length, INPUT + block.length + PADDING)
    hits.count = Number(scan(block.length))
    hits.positions.set(positions.subarray(0, hits.count))
    hits.runCount = runCount[0] ?? 0
    hits.runs.set(runs.subarray(0, hits.runCount))
  }
}
