/**
 * The code of the prefilter in WebAssembly: three passes over a block that go on with ever less.
 *
 * 1. The words at every second place are hashed, four in a vector, and looked up in one table.
 * 2. What the shapes of a hash have in common is held against the sixteen bytes around the word.
 * 3. Each of these shapes is, and what fits is a hit. JavaScript looks at the rest of it.
 *
 * In the first two no branch depends on what is known: it would be guessed wrongly too often, and cost more than the work.
 */
import { assemble, op, TYPE, type Code } from './assembler.ts'
import { FOLD, STRIDE } from './fragments.ts'
import { HASH_SHIFT, HASHES } from './hash.ts'
import { BLOCK_BYTES } from './hits.ts'
import { ROW_BEFORE } from './tables.ts'

/** Bytes that are looked at in one turn of the loop. */
const TURN = 32
/** Read past the input's ends, and zero there: shapes are held against what stands a window's offset before a word. */
const PADDING = 64

/** Where things lie in the module's memory: a count and constants, tables, what is looked at and what was found. */
const RUN_COUNT = 0
const CONSTANTS = 16
const CLASSES = 128
const NUMBERS = 256
/** 1 for each hash of a word that is looked for. */
const IS_KNOWN = 4096
/** For each such hash where its row is. */
const ROW_OF = IS_KNOWN + HASHES
const INPUT = ROW_OF + 4 * HASHES + PADDING
const PLACES = INPUT + BLOCK_BYTES + 2 * PADDING
const LIKELY = PLACES + 2 * (BLOCK_BYTES / STRIDE + PADDING)
const RUNS = LIKELY + 8 * (BLOCK_BYTES / STRIDE + PADDING)
const ROWS = RUNS + 4 * (BLOCK_BYTES / 16 + PADDING)

export const layout = { RUN_COUNT, CONSTANTS, CLASSES, NUMBERS, IS_KNOWN, ROW_OF, INPUT, RUNS, ROWS } as const

/** A row: which bits of sixteen bytes count, what they are then, and where its entries begin. All is aligned to words, some of it to vectors. */
export const row = { MASK: 0, VALUE: 16, ENTRIES: 32, BYTES: 48 } as const
/** An entry: the same of a shape, where the word lies in it, which it is, and whether another entry follows. */
export const entry = { MASK: 0, VALUE: 16, OFFSET: 32, NUMBER: 36, HAS_MORE: 40, BYTES: 48 } as const
/** A hit: the place and the shape. */
export const HIT_BYTES = 8

/** Locals of the function, by name. */
const [LENGTH, AT, TO, OUT, RUN_OUT, BITS, THIS, HERE] = [0, 1, 2, 3, 4, 5, 6, 7] as const
const INTEGERS = 7
const [FOLDS, MULTIPLIERS, SEPARATORS, SIXTEENS, BASE, BEFORE, NOW, NEXT, PRODUCTS] = [
  8, 9, 10, 11, 12, 13, 14, 15, 16,
] as const
const VECTORS = 12

/** All of base64 is above what separates words, to the compiler a vector from memory: it would make one that it knows anew at each use. */
const LAST_SEPARATOR = '*'.charCodeAt(0)
export const constants = (multiplier: number): Uint32Array =>
  Uint32Array.from(
    [FOLD, multiplier, LAST_SEPARATOR * 0x01010101, (16 << 16) | 16].flatMap((word) => [word, word, word, word]),
  )

const fold = (...codes: (Code | readonly Code[])[]): Code => codes.flat(2)
const splat = (byte: number): Code => op.v128Const(new Uint8Array(16).fill(byte))

/** The products of the words that begin at this place and at the three fourth ones from it on; their upper halves are the hashes. */
const multiply = (place: number): Code =>
  fold(
    [op.get(AT), op.v128Load(place), op.get(FOLDS), op.vAnd, op.get(MULTIPLIERS), op.mul32],
    op.set(PRODUCTS + productOf(place)),
  )

/** Which of the products has that of a place: there are two for each sixteen bytes. */
const productOf = (place: number): number => 2 * Math.floor(place / 16) + (place % 4) / STRIDE

const isKnown = (place: number): Code =>
  fold(
    [op.get(PRODUCTS + productOf(place)), op.laneOf16(2 * Math.floor((place % 16) / 4) + 1), op.i32Load8(IS_KNOWN)],
    place % 16 === 0 ? [] : [op.get(BITS), op.i32(1), op.shl, op.add],
    op.set(BITS),
  )

/** Of eight places those whose words are known are written down, and as many count. */
const keepKnown = (place: number): Code =>
  fold(
    Array.from({ length: 16 / STRIDE }, (_, n) => isKnown(place + n * STRIDE)),
    [op.get(OUT), op.get(BITS), op.i32(3), op.shl, op.load8x8(NUMBERS), op.get(BASE), op.add16, op.v128Store()],
    [op.get(OUT), op.get(BITS), op.popcnt, op.i32(1), op.shl, op.add, op.set(OUT)],
    [op.get(BASE), op.get(SIXTEENS), op.add16, op.set(BASE)],
  )

const words: Code = fold([0, 2, 16, 18].map(multiply), keepKnown(0), keepKnown(16))

/** No space, no quote, no bracket, nothing beyond ASCII. */
const mayBeRun = (vector: Code): Code => fold(vector, op.get(SEPARATORS), op.gt8, op.bitmask8, op.i32(0xffff), op.eq)

/** 1 if the sixteen bytes of a vector are all of base64. */
const isBase64 = (vector: number, swizzle: Code): Code =>
  fold(
    [op.i32(CLASSES), op.v128Load(), op.get(vector), splat(15), op.vAnd, swizzle],
    [op.i32(CLASSES), op.v128Load(16), op.get(vector), op.i32(4), op.shrU8, swizzle, op.vAnd, op.allTrue8],
  )

/** Writes the place down if these sixteen and those before are. */
const keepRun = (place: number, before: number, vector: number, swizzle: Code): Code =>
  fold(
    [op.get(RUN_OUT), op.get(AT), op.i32(place - INPUT), op.add, op.i32Store()],
    [op.get(RUN_OUT), isBase64(before, swizzle), isBase64(vector, swizzle), op.and, op.i32(2), op.shl],
    [op.add, op.set(RUN_OUT)],
  )

const runs = (swizzle: Code): Code =>
  fold(
    [op.get(AT), op.v128Load(), op.set(NOW), op.get(AT), op.v128Load(16), op.set(NEXT)],
    mayBeRun(fold(op.get(BEFORE), op.get(NOW), op.min8)),
    mayBeRun(fold(op.get(NOW), op.get(NEXT), op.min8)),
    [op.or, op.if(keepRun(0, BEFORE, NOW, swizzle), keepRun(16, NOW, NEXT, swizzle))],
    [op.get(NEXT), op.set(BEFORE)],
  )

const firstPass = (swizzle: Code): Code =>
  op.loop(words, runs(swizzle), fold([op.get(AT), op.i32(TURN), op.add, op.tee(AT), op.get(TO), op.ltU, op.brIf(0)]))

/** 1 if the bytes at a place have the bits that what THIS points at tells. */
const hasBits = (place: Code, mask: number, value: number): Code =>
  fold(
    [place, op.get(THIS), op.v128Load(mask), op.vAnd],
    [op.get(THIS), op.v128Load(value), op.vXor, op.anyTrue, op.eqz],
  )

const rowOf = (multiplier: number): Code =>
  fold(
    [op.get(HERE), op.i32Load(), op.i32(FOLD), op.and, op.i32(multiplier), op.mul, op.i32(HASH_SHIFT), op.shrU],
    [op.i32(2), op.shl, op.i32Load(ROW_OF)],
  )

const secondPass = (multiplier: number): Code =>
  op.loop(
    fold(
      [op.get(AT), op.i32Load16(), op.i32(INPUT), op.add, op.set(HERE), rowOf(multiplier), op.set(THIS)],
      [op.get(OUT), op.get(HERE), op.i32Store(), op.get(OUT), op.get(THIS), op.i32Load(row.ENTRIES), op.i32Store(4)],
      [op.get(OUT), hasBits(fold(op.get(HERE), op.i32(ROW_BEFORE), op.sub, op.v128Load()), row.MASK, row.VALUE)],
      [op.i32(3), op.shl, op.add, op.set(OUT)],
      [op.get(AT), op.i32(2), op.add, op.tee(AT), op.get(TO), op.ltU, op.brIf(0)],
    ),
  )

const eachEntry: Code = op.loop(
  fold(
    [op.get(AT), op.i32Load(), op.get(THIS), op.i32Load(entry.OFFSET), op.sub, op.set(HERE)],
    [op.get(OUT), op.get(HERE), op.i32(INPUT), op.sub, op.i32Store()],
    [op.get(OUT), op.get(THIS), op.i32Load(entry.NUMBER), op.i32Store(4)],
    [op.get(OUT), hasBits(fold(op.get(HERE), op.v128Load()), entry.MASK, entry.VALUE)],
    [op.i32(3), op.shl, op.add, op.set(OUT)],
    [op.get(THIS), op.i32Load(entry.HAS_MORE), op.get(THIS), op.i32(entry.BYTES), op.add, op.set(THIS), op.brIf(0)],
  ),
)

const thirdPass: Code = op.loop(
  fold([op.get(AT), op.i32Load(4), op.set(THIS)], eachEntry, [
    op.get(AT),
    op.i32(8),
    op.add,
    op.tee(AT),
    op.get(TO),
    op.ltU,
    op.brIf(0),
  ]),
)

/** A pass over what the one before has written, from a place on, into another. */
const over = (from: number, to: number, pass: Code): Code =>
  fold(
    [op.get(OUT), op.set(TO), op.i32(from), op.set(AT), op.i32(to), op.set(OUT)],
    [op.get(AT), op.get(TO), op.ltU, op.if(pass)],
  )

/** `scan(length)` gives how many hits there are from `hitsAt` on; the number of runs lies in memory. */
export function moduleOf(
  swizzle: Code,
  { multiplier, hitsAt, pages }: { readonly multiplier: number; readonly hitsAt: number; readonly pages: number },
): Uint8Array<ArrayBuffer> {
  const known = [FOLDS, MULTIPLIERS, SEPARATORS, SIXTEENS].map((local, n) =>
    fold(op.i32(CONSTANTS), op.v128Load(16 * n), op.set(local)),
  )
  const nothingBehind = [0, 16, 32, 48].map((at) => fold(op.get(TO), splat(0), op.v128Store(at)))
  return assemble(
    {
      name: 'scan',
      parameters: 1,
      locals: [...Array(INTEGERS).fill(TYPE.i32), ...Array(VECTORS).fill(TYPE.v128)],
      body: [
        ...known,
        fold([op.i32(INPUT), op.tee(AT), op.get(LENGTH), op.add, op.set(TO)]),
        fold([op.i32(PLACES), op.set(OUT), op.i32(RUNS), op.set(RUN_OUT)]),
        ...nothingBehind,
        firstPass(swizzle),
        fold([op.i32(RUN_COUNT), op.get(RUN_OUT), op.i32(RUNS), op.sub, op.i32(2), op.shrU, op.i32Store()]),
        over(PLACES, LIKELY, secondPass(multiplier)),
        over(LIKELY, hitsAt, thirdPass),
        fold([op.get(OUT), op.i32(hitsAt), op.sub, op.i32(3), op.shrU]),
      ],
    },
    pages,
  )
}
