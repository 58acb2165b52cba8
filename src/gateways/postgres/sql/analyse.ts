import { UnreadableSql, rankOf, type StatementClass } from './class.ts'
import { classifyStatement, type Statement } from './classify.ts'
import { BoundedCache } from './bounded-cache.ts'
import { lex, type Lexed, type Literal } from './lexer.ts'
import { finishPlain, lexPlain } from './plain.ts'
import { loadParser, type Parser } from './parser.ts'
import { sqlState } from '../wire/wire-error.ts'

/** Everything the gateway decides and records about one text. */
export type Analysis = {
  /** In order; none for an empty text. */
  readonly statements: readonly Statement[]
  /** The highest class of all statements; `session` for an empty text. */
  readonly class: StatementClass
  /** The classes that all statements together need. */
  readonly needs: readonly StatementClass[]
  readonly assumesMajor: number
  /** The text with `$n` for its literals and without comments. */
  readonly normalised: string
  /** What stood there, for `$firstNumber` and on; undefined where it may be a password. */
  readonly literals: readonly Literal[]
  readonly firstNumber: number
  /** Parameter values of this text must not be kept either. */
  readonly isSensitive: boolean
}

export type Analyser = {
  /** Synchronous and cached. Throws `UnreadableSql` where nothing can be decided: such a text must not reach a server. */
  analyse(sql: string): Analysis
}

export type AnalyserLimits = {
  readonly statementBytes: number
  readonly cacheBytes: number
}

/** A megabyte of SQL takes the grammar about a third of a second, in which nothing else happens. */
export const defaultAnalyserLimits: AnalyserLimits = { statementBytes: 1024 * 1024, cacheBytes: 16 * 1024 * 1024 }

type Verdict = Pick<Analysis, 'statements' | 'class' | 'needs' | 'assumesMajor'>

/** Statements in which constants are data and nothing else; of others, each text is looked at by itself. */
const dataStatements = new Set(['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'MERGE'])

/** Loads the grammar and makes an analyser; one serves a whole process. */
export async function createAnalyser(limits: AnalyserLimits = defaultAnalyserLimits): Promise<Analyser> {
  return analyserOver(await loadParser(), limits)
}

function analyserOver(parser: Parser, limits: AnalyserLimits): Analyser {
  const byText = new BoundedCache<Analysis>(limits.cacheBytes)
  const byShape = new BoundedCache<{ verdict: Verdict; isSensitive: boolean }>(limits.cacheBytes)
  return {
    analyse(sql) {
      const known = byText.get(sql)
      if (known) return known
      if (sql.length > limits.statementBytes) throw tooLong(limits)
      const plain = lexPlain(sql)
      const shape = plain && plain.kinds !== '' ? `${plain.kinds}:${plain.normalised}` : undefined
      const shared = shape === undefined ? undefined : byShape.get(shape)
      if (plain && shared) return join(shared.verdict, finishPlain(plain, shared.isSensitive))
      if (!plain) refuseUnparsable(sql, limits)
      const lexed = plain ? finishPlain(plain) : lex(sql)
      const verdict = judge(parser, sql)
      const analysis = join(verdict, lexed)
      if (shape !== undefined && mayShare(verdict, sql)) byShape.set(shape, { verdict, isSensitive: lexed.isSensitive })
      else byText.set(sql, analysis)
      return analysis
    },
  }
}

function refuseUnparsable(sql: string, limits: AnalyserLimits): void {
  // A string on the wire ends at NUL: the parser and the server would see different texts.
  if (sql.includes('\0')) throw new UnreadableSql(sqlState.invalidText, 'The statement holds a NUL character.')
  if (!sql.isWellFormed()) throw new UnreadableSql(sqlState.invalidText, 'The statement is not valid Unicode.')
  if (Buffer.byteLength(sql) > limits.statementBytes) throw tooLong(limits)
}

function tooLong({ statementBytes }: AnalyserLimits): UnreadableSql {
  return new UnreadableSql(
    sqlState.programLimitExceeded,
    `The statement is longer than ${statementBytes} bytes, the most this gateway decides on. Send large data with COPY or as parameters.`,
  )
}

/**
 * pg_dump narrows itself by this before it reads (PostgreSQL 15.8 and later, CVE-2024-7348), and asks the catalog whether the server knows the
 * setting. A name that comes from a row is never brokered; these very words set this very setting, or nothing.
 */
const PG_DUMP_ASKS =
  /^SELECT set_config\(name, '(?:view|view, foreign-table)', false\) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'$/
const SAID_PLAINLY = `SELECT set_config('restrict_nonsystem_relation_kind', 'view', false) FROM pg_settings`

function judge(parser: Parser, sql: string): Verdict {
  const statements = parser.parse(PG_DUMP_ASKS.test(sql) ? SAID_PLAINLY : sql).map(classifyStatement)
  const needs = [...new Set(statements.flatMap((statement) => statement.needs))].sort((a, b) => rankOf(a) - rankOf(b))
  return {
    statements,
    needs,
    class: needs.at(-1) ?? 'session',
    assumesMajor: Math.max(0, ...statements.map((statement) => statement.assumesMajor)),
  }
}

function mayShare(verdict: Verdict, sql: string): boolean {
  return verdict.statements.every((statement) => dataStatements.has(statement.kind)) && !/set_config/i.test(sql)
}

function join(verdict: Verdict, lexed: Lexed): Analysis {
  return {
    statements: verdict.statements,
    class: verdict.class,
    needs: verdict.needs,
    assumesMajor: verdict.assumesMajor,
    normalised: lexed.normalised,
    literals: lexed.literals,
    firstNumber: lexed.firstNumber,
    isSensitive: lexed.isSensitive,
  }
}
