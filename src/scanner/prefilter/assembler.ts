/**
 * Enough of a WebAssembly assembler to write one module by hand (WebAssembly Core 2.0 §5): instructions are lists of bytes, blocks are closed by
 * the function that opens them. What the module does is readable where it is written, and no binary is kept in the tree.
 */
export type Code = readonly number[]

/** LEB128 without a sign (§5.2.2). */
function unsigned(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest]
    bytes.push((rest % 128) | 0x80)
  }
}

/** LEB128 with a sign, of a 32-bit integer. */
function signed(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value | 0; ; rest >>= 7) {
    const low = rest & 0x7f
    const isLast = (rest < 64 && rest >= 0) || (rest < 0 && rest >= -64)
    if (isLast) return [...bytes, low]
    bytes.push(low | 0x80)
  }
}

const vector = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()]
const section = (id: number, items: readonly Code[]): number[] => {
  const body = vector(items)
  return [id, ...unsigned(body.length), ...body]
}
const text = (value: string): number[] => [...unsigned(value.length), ...Buffer.from(value, 'latin1')]
const simd = (opcode: number, ...rest: number[]): number[] => [0xfd, ...unsigned(opcode), ...rest]

/** Value types (§5.3). */
export const TYPE = { i32: 0x7f, v128: 0x7b } as const
const EMPTY_BLOCK = 0x40

/** Instructions (§5.4); the names are those of the text format. */
export const op = {
  loop: (...body: Code[]): Code => [0x03, EMPTY_BLOCK, ...body.flat(), 0x0b],
  if: (...body: Code[]): Code => [0x04, EMPTY_BLOCK, ...body.flat(), 0x0b],
  brIf: (depth: number): Code => [0x0d, ...unsigned(depth)],
  get: (local: number): Code => [0x20, ...unsigned(local)],
  set: (local: number): Code => [0x21, ...unsigned(local)],
  tee: (local: number): Code => [0x22, ...unsigned(local)],
  i32Load: (offset = 0): Code => [0x28, 0x00, ...unsigned(offset)],
  i32Load8: (offset = 0): Code => [0x2d, 0x00, ...unsigned(offset)],
  i32Load16: (offset = 0): Code => [0x2f, 0x00, ...unsigned(offset)],
  i32Store: (offset = 0): Code => [0x36, 0x00, ...unsigned(offset)],
  i32: (value: number): Code => [0x41, ...signed(value)],
  eqz: [0x45] as Code,
  eq: [0x46] as Code,
  ltU: [0x49] as Code,
  popcnt: [0x69] as Code,
  add: [0x6a] as Code,
  sub: [0x6b] as Code,
  mul: [0x6c] as Code,
  and: [0x71] as Code,
  or: [0x72] as Code,
  shl: [0x74] as Code,
  shrU: [0x76] as Code,
  v128Load: (offset = 0): Code => simd(0x00, 0x00, ...unsigned(offset)),
  load8x8: (offset = 0): Code => simd(0x02, 0x00, ...unsigned(offset)),
  v128Store: (offset = 0): Code => simd(0x0b, 0x00, ...unsigned(offset)),
  v128Const: (bytes: Uint8Array): Code => simd(0x0c, ...bytes),
  swizzle: simd(0x0e) as Code,
  /** The same where no index is above 15, in one instruction of the machine (WebAssembly 3.0, relaxed SIMD). */
  relaxedSwizzle: simd(0x100) as Code,
  laneOf16: (lane: number): Code => simd(0x19, lane),
  gt8: simd(0x27) as Code,
  vAnd: simd(0x4e) as Code,
  vXor: simd(0x51) as Code,
  anyTrue: simd(0x53) as Code,
  allTrue8: simd(0x63) as Code,
  bitmask8: simd(0x64) as Code,
  shrU8: simd(0x6d) as Code,
  min8: simd(0x76) as Code,
  add16: simd(0x8e) as Code,
  mul32: simd(0xb5) as Code,
}

export type WasmFunction = {
  readonly name: string
  readonly parameters: number
  /** Types of the locals after the parameters, in order. */
  readonly locals: readonly number[]
  readonly body: readonly Code[]
}

/** A module of one function over i32, with one exported memory of a fixed size. */
export function assemble({ name, parameters, locals, body }: WasmFunction, pages: number): Uint8Array<ArrayBuffer> {
  const code = [...vector(locals.map((type) => [1, type])), ...body.flat(), 0x0b]
  return Uint8Array.from([
    0x00,
    0x61,
    0x73,
    0x6d,
    0x01,
    0x00,
    0x00,
    0x00,
    ...section(1, [[0x60, ...vector(Array.from({ length: parameters }, () => [TYPE.i32])), ...vector([[TYPE.i32]])]]),
    ...section(3, [[0]]),
    ...section(5, [[0x01, ...unsigned(pages), ...unsigned(pages)]]),
    ...section(7, [
      [...text(name), 0x00, 0],
      [...text('memory'), 0x02, 0],
    ]),
    ...section(10, [[...unsigned(code.length), ...code]]),
  ])
}
