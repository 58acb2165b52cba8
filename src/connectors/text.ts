import { sha256 } from '../kernel/crypto.ts'

/**
 * Characters that act on whoever shows them: controls (C0, DEL, C1), the two line separators of Unicode, direction overrides and isolates, the
 * byte order mark. Terminals, logs and people read what was written otherwise than it is.
 */
const ACTING =
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g

/** How much of a text that was cut names it: two that differ only behind the cut stay two. */
const MARK_CHARACTERS = 16

/**
 * A text of somebody else's system, safe to keep and to show: well-formed, at most `max` characters, acting characters written out as
 * `\u{1b}`. A longer one is cut and ends in the beginning of its hash.
 */
export function tame(raw: string, max: number): string {
  if (raw.length <= max && !isActing(raw)) return raw
  const whole = written(raw.slice(0, max))
  if (raw.length <= max && whole.length <= max) return whole
  const mark = `…${sha256(raw).toString('hex').slice(0, MARK_CHARACTERS)}`
  return `${whole
    .slice(0, Math.max(0, max - mark.length))
    .toWellFormed()
    .replace(/\ufffd$/, '')}${mark}`
}

function isActing(text: string): boolean {
  ACTING.lastIndex = 0
  return ACTING.test(text) || !text.isWellFormed()
}

function written(text: string): string {
  return text.toWellFormed().replace(ACTING, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}
