/** One file of policies as it was read. */
export type PolicyFile = { readonly name: string; readonly text: string }

/** One policy of a file: its exact bytes from the first token to the semicolon, and where it starts. */
export type PolicySource = {
  readonly file: PolicyFile
  readonly index: number
  readonly text: string
  readonly start: number
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
  let start: number | null = null
  let end = 0
  const push = () => {
    if (start !== null) policies.push({ file, index: policies.length, text: file.text.slice(start, end), start })
    start = null
  }
  for (const { 0: lexeme, index } of file.text.matchAll(LEXEME)) {
    if (start === null && (lexeme.trim() === '' || lexeme.startsWith('//'))) continue
    start ??= index
    if (lexeme.trim() !== '' && !lexeme.startsWith('//')) end = index + lexeme.length
    if (lexeme === ';') push()
  }
  push()
  return policies
}

/** Line and column, from 1, of a byte offset inside a policy; the engine counts bytes of UTF-8. */
export function positionOf(source: PolicySource, byteOffset: number): Position {
  const inside = Buffer.from(source.text).subarray(0, byteOffset).toString()
  const before = source.file.text.slice(0, source.start) + inside
  const lines = before.split('\n')
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 }
}
