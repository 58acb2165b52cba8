/** A part of a pattern: any text, or just this one. */
export type PatternPart = { readonly kind: 'any' } | { readonly kind: 'text'; readonly text: string }

/** Compiles a pattern to a test. Linear in the text for each piece between two wildcards; never backtracks beyond the last. */
export function matcher(parts: readonly PatternPart[]): (text: string) => boolean {
  const pieces = ['']
  for (const part of parts) {
    if (part.kind === 'any') pieces.push('')
    else pieces.push(`${pieces.pop() ?? ''}${part.text}`)
  }
  const [first = '', ...rest] = pieces
  const last = rest.pop()
  // A piece is well-formed text, so it can't be found in the middle of a character.
  if (last === undefined) return (text) => text === first
  const middle = rest.filter((piece) => piece !== '')
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false
    let from = first.length
    const end = text.length - last.length
    for (const piece of middle) {
      const at = text.indexOf(piece, from)
      if (at < 0) return false
      from = at + piece.length
    }
    return from <= end
  }
}
