/**
 * Where a generated case takes its decisions from. A case is a function of its choices, so a list of bytes from fast-check makes one that
 * fast-check can shrink, and a seeded stream makes millions of them quickly.
 */
export type Choices = {
  /** A whole number from 0 up to, without, `end`. */
  below(end: number): number
}

/** Choices from bytes; the first option of everything once they are used up. */
export function choicesFrom(bytes: Uint8Array): Choices {
  let at = 0
  return {
    below: (end) => {
      const high = end > 256 ? (bytes[at++] ?? 0) : 0
      return (high * 256 + (bytes[at++] ?? 0)) % end
    },
  }
}

/** An endless stream of choices, the same for the same seed (xorshift32). */
export function seededChoices(seed: number): Choices {
  let state = (seed * 2_654_435_761) >>> 0 || 1
  return {
    below: (end) => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      state >>>= 0
      return state % end
    },
  }
}

export function pick<T>(choices: Choices, options: readonly T[]): T {
  const option = options[choices.below(options.length)]
  if (option === undefined) throw new Error('There is nothing to choose from.')
  return option
}

/** True once in `outOf` times. */
export function seldom(choices: Choices, outOf: number): boolean {
  return choices.below(outOf) === outOf - 1
}

export function several<T>(choices: Choices, atMost: number, make: () => T): T[] {
  return Array.from({ length: choices.below(atMost + 1) }, make)
}
