/**
 * The language's 64-bit integers. A value that a JavaScript number holds exactly is a number, any other is a bigint, so equal values are
 * always `===`.
 */
export type Long = number | bigint

const MIN = -(2n ** 63n)
const MAX = 2n ** 63n - 1n
const LARGEST_EXACT = BigInt(Number.MAX_SAFE_INTEGER)

/** The value in its one form; undefined when 64 bits don't hold it. */
export function toLong(value: bigint): Long | undefined {
  if (value <= LARGEST_EXACT && value >= -LARGEST_EXACT) return Number(value)
  return value > MAX || value < MIN ? undefined : value
}

/** The sum; undefined on overflow, like its siblings. */
export function add(a: Long, b: Long): Long | undefined {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    // A sum that rounding brought back into range would have to be exact there.
    if (Number.isSafeInteger(sum)) return sum
  }
  return toLong(BigInt(a) + BigInt(b))
}

export function subtract(a: Long, b: Long): Long | undefined {
  if (typeof a === 'number' && typeof b === 'number') {
    const difference = a - b
    if (Number.isSafeInteger(difference)) return difference
  }
  return toLong(BigInt(a) - BigInt(b))
}

export function multiply(a: Long, b: Long): Long | undefined {
  if (typeof a === 'number' && typeof b === 'number') {
    const product = a * b
    // `+ 0` turns the negative zero that the language doesn't have into zero.
    if (Number.isSafeInteger(product)) return product + 0
  }
  return toLong(BigInt(a) * BigInt(b))
}

export function negate(a: Long): Long | undefined {
  return subtract(0, a)
}

/** The quotient by a positive whole number, cut towards zero. */
export function divide(a: Long, by: number): Long {
  if (typeof a === 'number') return (a - (a % by)) / by + 0
  return toLong(a / BigInt(by)) ?? 0
}

/** What is left of a division by a positive whole number, never negative. */
export function remainder(a: Long, by: number): number {
  const rest = typeof a === 'number' ? a % by : Number(a % BigInt(by))
  return rest < 0 ? rest + by : rest + 0
}
