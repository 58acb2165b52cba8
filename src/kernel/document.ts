import { isNode, LineCounter, parseDocument, type Document } from 'yaml'
import type { z } from 'zod'

/** What is wrong with a document, and where: line and column count from 1. */
export type DocumentFault = {
  readonly line: number
  readonly column: number
  /** Keys with dots between them; empty at the top. */
  readonly path: string
  readonly message: string
}

/** Thrown for a document that is not what its schema says; the message names the first places. */
export class DocumentInvalid extends Error {
  override readonly name: string = 'DocumentInvalid'
  readonly faults: readonly DocumentFault[]

  constructor(message: string, faults: readonly DocumentFault[]) {
    super(message)
    this.faults = faults
  }
}

export type ReadDocument<T> = {
  readonly value: T
  /** For what no schema can say: a fault at that key. */
  readonly refuse: (path: readonly PropertyKey[], message: string) => never
}

const MAX_FAULTS = 100
/** As many as a sentence can hold. */
const MAX_SAID = 10

/** Reads YAML (or JSON, which it contains) by a schema. A key that stands there twice, an alias, and whatever the schema refuses are faults. */
export function readDocument<S extends z.ZodType>(text: string, name: string, schema: S): ReadDocument<z.output<S>> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  const placed = (path: readonly PropertyKey[], message: string): DocumentFault => ({
    ...lineAt(lines, offsetOf(document, path)),
    path: path.map(String).join('.'),
    message,
  })
  const broken = document.errors.map(({ pos, message }) => ({
    ...lineAt(lines, pos[0]),
    path: '',
    message: message.split('\n', 1)[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? '',
  }))
  if (broken.length > 0) throw notYaml(name, broken)
  const parsed = schema.safeParse(valueOf(name, document) ?? {})
  if (!parsed.success) {
    throw notValid(
      name,
      parsed.error.issues.map(({ path, message }) => placed(path, message)),
    )
  }
  return {
    value: parsed.data,
    refuse: (path, message) => {
      throw notValid(name, [placed(path, message)])
    },
  }
}

function valueOf(name: string, document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 })
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error
    throw notYaml(name, [{ line: 1, column: 1, path: '', message: 'aliases are not read' }])
  }
}

function notYaml(name: string, faults: DocumentFault[]): DocumentInvalid {
  return new DocumentInvalid(
    `${name} is not YAML, or a name stands there twice: ${said(faults)}`,
    faults.slice(0, MAX_FAULTS),
  )
}

function notValid(name: string, faults: DocumentFault[]): DocumentInvalid {
  return new DocumentInvalid(`${name} is not valid. ${said(faults)}`, faults.slice(0, MAX_FAULTS))
}

function said(faults: readonly DocumentFault[]): string {
  return faults
    .slice(0, MAX_SAID)
    .map(({ line, column, path, message }) => `${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`)
    .join('; ')
}

/** Where the nearest part of the path begins that is there. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length -= 1) {
    const node: unknown = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return node.range[0]
  }
  return 0
}

function lineAt(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col: column } = lines.linePos(offset)
  return { line: Math.max(1, line), column: Math.max(1, column) }
}
