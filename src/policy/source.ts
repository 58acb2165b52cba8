/** One file of policies as it was read. */
export type PolicyFile = { readonly name: string; readonly text: string }

/** One policy of a file: its exact bytes from the first token to the semicolon, and where it starts. */
export type PolicySource = {
  readonly file: PolicyFile
  readonly index: number
  readonly text: string
  /** Where its first token is. */
  readonly start: Position
}

export type Position = { readonly line: number; readonly column: number }

/** Blank space, a line comment, a string with escapes, the end of a policy, or any other character. */
const LEXEME = /\s+|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|;|[^]/gu

/**
 * Cuts a file at the semicolons that end policies, which keeps each policy's position (the engine's own splitter loses
 * it, and orders policy10 before policy2). Text after the last semicolon is a policy too, for the parser to refuse.
 */
export function splitPolicies(file: PolicyFile): PolicySource[] {
  const policies: PolicySource[] = []
  let first: { readonly at: number; readonly start: Position } | null = null
  let end = 0
  let line = 1
  let lineAt = 0
  const push = () => {
    if (first) {
      policies.push({ file, index: policies.length, text: file.text.slice(first.at, end), start: first.start })
    }
    first = null
  }
  for (const { 0: lexeme, index } of file.text.matchAll(LEXEME)) {
    const isBlank = lexeme.trim() === ''
    if (!isBlank && !lexeme.startsWith('//')) {
      first ??= { at: index, start: { line, column: index - lineAt + 1 } }
      end = index + lexeme.length
    }
    if (lexeme === ';') push()
    // No other lexeme holds the end of a line.
    if (isBlank && lexeme.includes('\n')) {
      line += lexeme.split('\n').length - 1
      lineAt = index + lexeme.lastIndexOf('\n') + 1
    }
  }
  push()
  return policies
}

/** Line and column, from 1, of a byte offset inside a policy; the engine counts bytes of UTF-8. */
export function positionOf({ text, start }: PolicySource, byteOffset: number): Position {
  if (byteOffset === 0) return start
  const lines = Buffer.from(text).subarray(0, byteOffset).toString().split('\n')
  const [only = ''] = lines
  if (lines.length === 1) return { line: start.line, column: start.column + only.length }
  return { line: start.line + lines.length - 1, column: (lines.at(-1) ?? '').length + 1 }
}
