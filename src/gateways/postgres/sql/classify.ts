import { rankOf, type StatementClass } from './class.ts'
import { isDestructive } from './destructive.ts'
import { classifyFunction } from './functions.ts'
import { labelOf } from './label.ts'
import { isTreeObject, tooComplex, type TreeObject } from './parser.ts'
import { classifySetting } from './settings.ts'
import { constantText, newerNodes, plainNodes, statementRules } from './statements.ts'

/** What one statement is and needs. */
export type Statement = {
  /** For people: `SELECT`, `CREATE TABLE`. */
  readonly kind: string
  /** The highest of `needs`. */
  readonly class: StatementClass
  /** Every class the statement needs; `read` is left out where it needs more. Never empty. */
  readonly needs: readonly StatementClass[]
  /** Tables named in it, with their schema where it is written; at most 64, for display. */
  readonly tables: readonly string[]
  /** On a server older than this, words of the statement may mean somebody's own functions: take it for `write` there. */
  readonly assumesMajor: number
  /** Runs code that is not in it: a function that is not known, a block, what was prepared. That code may change settings. */
  readonly runsUnseen: boolean
  /** Takes something away that no next statement brings back. */
  readonly isDestructive: boolean
  /** PREPARE and DECLARE name something that messages of the protocol can use as well. */
  readonly names: { readonly kind: 'statement' | 'portal'; readonly name: string } | undefined
}

type Findings = {
  readonly needs: Set<StatementClass>
  readonly tables: Set<string>
  readonly commonTables: Set<string>
  assumesMajor: number
  runsUnseen: boolean
  isDestructive: boolean
}

/** Bound of one walk; a megabyte of SQL has fewer. */
const MOST_NODES = 4_000_000
const MOST_TABLES = 64

/** Classifies one parsed statement: the rule of its node joined with that of every node inside it. */
export function classifyStatement(statement: TreeObject): Statement {
  const findings: Findings = {
    needs: new Set(),
    tables: new Set(),
    commonTables: new Set(),
    assumesMajor: 0,
    runsUnseen: false,
    isDestructive: false,
  }
  // A list, not recursion: the depth of the tree is the client's choice.
  const pending: unknown[] = [statement]
  for (let visited = 0; pending.length > 0; visited++) {
    if (visited > MOST_NODES) throw tooComplex()
    const node = pending.pop()
    if (Array.isArray(node)) for (const item of node) pending.push(item)
    else if (isTreeObject(node))
      for (const [key, value] of Object.entries(node)) {
        visit(findings, key, value)
        pending.push(value)
      }
  }
  const needs = settleNeeds(findings.needs)
  return {
    kind: labelOf(statement),
    class: needs.reduce((highest, next) => (rankOf(next) > rankOf(highest) ? next : highest)),
    needs,
    tables: [...findings.tables].filter((name) => !findings.commonTables.has(name)).slice(0, MOST_TABLES),
    assumesMajor: findings.assumesMajor,
    runsUnseen: findings.runsUnseen,
    isDestructive: findings.isDestructive,
    names: namedBy(statement),
  }
}

function namedBy({ PrepareStmt, DeclareCursorStmt }: TreeObject): Statement['names'] {
  if (isTreeObject(PrepareStmt)) return { kind: 'statement', name: String(PrepareStmt.name) }
  if (isTreeObject(DeclareCursorStmt)) return { kind: 'portal', name: String(DeclareCursorStmt.portalname) }
  return undefined
}

function settleNeeds(found: ReadonlySet<StatementClass>): [StatementClass, ...StatementClass[]] {
  const needs = [...found].filter((name) => name !== 'read').sort((a, b) => rankOf(a) - rankOf(b))
  const needsMore = needs.filter((name) => rankOf(name) > rankOf('read'))
  const [first, ...others] = found.has('read') && needsMore.length === 0 ? ['read' as const] : needs
  return first ? [first, ...others] : ['superuser']
}

function visit(findings: Findings, key: string, value: unknown): void {
  if (!isTreeObject(value)) return
  const first = key.charCodeAt(0)
  if (first >= 65 && first <= 90) visitNode(findings, key, value)
  else visitField(findings, key, value)
}

const unseen = new Set(['CallStmt', 'DoStmt', 'ExecuteStmt'])

function visitNode(findings: Findings, type: string, node: TreeObject): void {
  if (Object.hasOwn(statementRules, type)) {
    const rule = statementRules[type]
    if (rule) findings.needs.add(typeof rule === 'string' ? rule : rule(node))
  } else if (Object.hasOwn(newerNodes, type))
    findings.assumesMajor = Math.max(findings.assumesMajor, newerNodes[type] ?? 0)
  else if (!plainNodes.has(type)) findings.needs.add('superuser')
  if (unseen.has(type)) findings.runsUnseen = true
  if (isDestructive(type, node)) findings.isDestructive = true
  if (type === 'FuncCall') visitCall(findings, node)
  else if (type === 'RangeVar') visitTable(findings, node)
  else if (type === 'CommonTableExpr') findings.commonTables.add(String(node.ctename))
  else if (type === 'A_Expr') visitOperator(findings, node.name)
  else if (type === 'SubLink') visitOperator(findings, node.operName)
  else if (type === 'SortBy') visitOperator(findings, node.useOp)
  else if (type === 'RangeTableSample') visitSample(findings, node.method)
}

/** Fields whose type the grammar fixes hold their node without its name. */
function visitField(findings: Findings, field: string, node: TreeObject): void {
  if (field === 'intoClause') findings.needs.add('schema')
  else if (field === 'funccall') visitCall(findings, node)
  else if (typeof node.relname === 'string') visitTable(findings, node)
}

function visitCall(findings: Findings, call: TreeObject): void {
  const path = names(call.funcname)
  if (path.at(-1) === 'set_config') {
    findings.needs.add(setConfigNeeds(call.args))
    return
  }
  const verdict = classifyFunction(path)
  findings.assumesMajor = Math.max(findings.assumesMajor, verdict.sinceMajor)
  if (verdict.class === 'read') return
  findings.needs.add(verdict.class)
  findings.runsUnseen = true
}

/** A setting whose name only the server will know could be one of the pinned ones (core 22). */
function setConfigNeeds(args: unknown): StatementClass {
  const [name, value] = Array.isArray(args) ? args : []
  const setting = constantText(name)
  return setting === null ? 'forbidden' : classifySetting(setting, constantText(value))
}

function visitTable(findings: Findings, table: TreeObject): void {
  if (findings.tables.size > 4 * MOST_TABLES) return
  const schema = typeof table.schemaname === 'string' ? `${table.schemaname}.` : ''
  findings.tables.add(`${schema}${String(table.relname)}`)
}

/** An operator of another schema is somebody's function. */
function visitOperator(findings: Findings, name: unknown): void {
  const path = names(name)
  if (path.length <= 1 || path[0] === 'pg_catalog') return
  findings.needs.add('write')
  findings.runsUnseen = true
}

function visitSample(findings: Findings, method: unknown): void {
  const name = names(method).join('.')
  if (/^(pg_catalog\.)?(system|bernoulli)$/.test(name)) return
  findings.needs.add('write')
  findings.runsUnseen = true
}

function names(list: unknown): string[] {
  if (!Array.isArray(list)) return []
  return list.map((item: unknown) => {
    const string = isTreeObject(item) ? item.String : undefined
    return isTreeObject(string) && typeof string.sval === 'string' ? string.sval : ''
  })
}
