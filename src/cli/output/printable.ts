/**
 * What a terminal or a reader's eye could take for more than text: control characters (escape sequences among them), and invisible ones that
 * reorder or hide what stands beside them.
 */
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu

/** The text with everything that could steer a terminal spelled out as `\u001b`. */
export function printable(text: string): string {
  return text.replaceAll(STEERING, spelled)
}

/** The same for text of several lines: line feeds and tabs stay. */
export function printableLines(text: string): string {
  return text.replaceAll(STEERING, (character) =>
    character === '\n' || character === '\t' ? character : spelled(character),
  )
}

/** Whether the text holds anything that `printable` would spell out. */
export function isSteering(text: string): boolean {
  return text.search(STEERING) !== -1
}

/** JSON (RFC 8259 §7): the same value, with everything that could steer a terminal escaped inside its strings. */
export function printableJson(value: unknown): string {
  return printableLines(JSON.stringify(value, undefined, 2))
}

function spelled(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    return `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`
  }).join('')
}

// UAX #11: East Asian Wide and Fullwidth, and emoji, take two columns of a terminal.
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const COMBINING = /\p{Mark}/u

/** How many columns of a terminal the text takes. */
export function widthOf(text: string): number {
  let width = 0
  for (const character of text) width += COMBINING.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  return width
}

/** The text in exactly `width` columns: cut with an ellipsis, or filled up with spaces. */
export function fit(text: string, width: number): string {
  if (widthOf(text) <= width) return text + ' '.repeat(width - widthOf(text))
  let kept = ''
  for (const character of text) {
    if (widthOf(kept + character) > width - 1) break
    kept += character
  }
  return `${kept}…${' '.repeat(Math.max(0, width - 1 - widthOf(kept)))}`
}
