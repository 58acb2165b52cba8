import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import createModule, { type PgQueryModule } from 'libpg-query/wasm/libpg-query.js'
import { UnreadableSql } from './class.ts'
import { sqlState } from '../wire/wire-error.ts'

/** An object of the parse tree. A key with a capital is the type of a node, any other a field. */
export type TreeObject = { readonly [key: string]: unknown }

export function isTreeObject(value: unknown): value is TreeObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The grammar of PostgreSQL 18 in WebAssembly. `parse` is synchronous. */
export type Parser = {
  /** The statements of a text, in order. Throws `UnreadableSql`. */
  parse(sql: string): readonly TreeObject[]
}

/** Past this much memory an instance is replaced: WebAssembly never gives memory back. */
const MOST_MEMORY_BYTES = 512 * 1024 * 1024

/**
 * Loads the parser. A nesting bomb overflows its stack and leaves it in an unknown state: that instance is dropped for the spare
 * one, and the next spare is made meanwhile.
 */
export async function loadParser(): Promise<Parser> {
  const compiled = await WebAssembly.compile(
    await readFile(fileURLToPath(import.meta.resolve('libpg-query/wasm/libpg-query.wasm'))),
  )
  // Compiled once; an instance then takes two milliseconds and no trip through the event loop.
  const instantiate = () =>
    createModule({
      instantiateWasm(imports, done) {
        done(new WebAssembly.Instance(compiled, imports))
        return {}
      },
    })
  let current: PgQueryModule | undefined = await instantiate()
  let spare: PgQueryModule | undefined = await instantiate()

  const refill = (): Promise<void> =>
    instantiate().then(
      (fresh) => {
        if (current) spare ??= fresh
        else current = fresh
        return spare ? undefined : refill()
      },
      // Without memory for another one there is none; the next replacement asks again.
      () => undefined,
    )
  const replace = () => {
    current = spare
    spare = undefined
    void refill()
  }

  return {
    parse(sql) {
      if (!current) throw new UnreadableSql(sqlState.cannotConnectNow, 'The statement parser is starting; try again.')
      const module = current
      try {
        const statements = parseWith(module, sql)
        if (module.HEAPU8.length > MOST_MEMORY_BYTES) replace()
        return statements
      } catch (error) {
        if (error instanceof UnreadableSql) throw error
        replace()
        throw tooComplex()
      }
    },
  }
}

export function tooComplex(): UnreadableSql {
  return new UnreadableSql(sqlState.statementTooComplex, 'The statement is nested too deeply to be decided on.')
}

// libpg_query: struct PgQueryParseResult { char *parse_tree; char *stderr_buffer; PgQueryError *error }
function parseWith(module: PgQueryModule, sql: string): readonly TreeObject[] {
  const bytes = Buffer.from(sql, 'utf8')
  const text = module._malloc(bytes.length + 1)
  if (text === 0) throw new Error('the parser is out of memory')
  module.HEAPU8.set(bytes, text)
  module.HEAPU8[text + bytes.length] = 0
  const result = module._wasm_parse_query_raw(text)
  if (result === 0) throw new Error('the parser gave no result')
  const failure = module.getValue(result + 8, 'i32')
  const refused = failure === 0 ? undefined : readFailure(module, failure)
  const json = refused ? '' : module.UTF8ToString(module.getValue(result, 'i32'))
  module._wasm_free_parse_result(result)
  module._free(text)
  if (refused) throw refused
  return statementsOf(JSON.parse(json))
}

// struct PgQueryError { char *message; char *funcname; char *filename; int lineno; int cursorpos; char *context }
function readFailure(module: PgQueryModule, failure: number): UnreadableSql {
  const message = module.UTF8ToString(module.getValue(failure, 'i32'))
  const position = module.getValue(failure + 16, 'i32')
  if (/^memory exhausted|stack depth/.test(message)) return tooComplex()
  return new UnreadableSql(sqlState.syntaxError, message, position > 0 ? position : undefined)
}

function statementsOf(tree: unknown): readonly TreeObject[] {
  const list = isTreeObject(tree) ? tree.stmts : undefined
  if (!Array.isArray(list)) throw new Error('the parse tree has no statements')
  return list.map((raw: unknown) => {
    const statement = isTreeObject(raw) ? raw.stmt : undefined
    if (!isTreeObject(statement)) throw new Error('the parse tree has a statement without a node')
    return statement
  })
}
