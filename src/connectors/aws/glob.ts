/**
 * Whether a text is of a pattern with `*` (any characters) and `?` (one). Goes back to the last star only, so it takes at most as many steps as both
 * lengths multiplied, whatever somebody wrote.
 */
export function isLike(text: string, pattern: string): boolean {
  let at = 0
  let of = 0
  let star = -1
  let from = 0
  while (at < text.length) {
    if (of < pattern.length && pattern[of] === '*') {
      star = of
      from = at
      of += 1
    } else if (of < pattern.length && (pattern[of] === '?' || pattern[of] === text[at])) {
      at += 1
      of += 1
    } else if (star >= 0) {
      from += 1
      at = from
      of = star + 1
    } else return false
  }
  while (pattern[of] === '*') of += 1
  return of === pattern.length
}
