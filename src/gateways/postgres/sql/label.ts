import { isTreeObject, type TreeObject } from './parser.ts'

const special: Readonly<Record<string, string>> = {
  CreateStmt: 'CREATE TABLE',
  IndexStmt: 'CREATE INDEX',
  ViewStmt: 'CREATE VIEW',
  RuleStmt: 'CREATE RULE',
  CompositeTypeStmt: 'CREATE TYPE',
  DefineStmt: 'CREATE',
  CreateTrigStmt: 'CREATE TRIGGER',
  CreateSeqStmt: 'CREATE SEQUENCE',
  CreatedbStmt: 'CREATE DATABASE',
  DropdbStmt: 'DROP DATABASE',
  VariableSetStmt: 'SET',
  VariableShowStmt: 'SHOW',
  CheckPointStmt: 'CHECKPOINT',
  ClosePortalStmt: 'CLOSE',
  CreatePLangStmt: 'CREATE LANGUAGE',
  SecLabelStmt: 'SECURITY LABEL',
  RefreshMatViewStmt: 'REFRESH MATERIALIZED VIEW',
}

/** What to call a statement in a list for people. */
export function labelOf(statement: TreeObject): string {
  const [type, node] = Object.entries(statement)[0] ?? ['', undefined]
  if (!isTreeObject(node)) return 'UNKNOWN'
  if (type === 'TransactionStmt') return words(String(node.kind).replace('TRANS_STMT_', ''))
  if (type === 'DropStmt') return `DROP ${words(String(node.removeType).replace('OBJECT_', ''))}`
  if (type === 'VariableSetStmt' && String(node.kind).startsWith('VAR_RESET')) return 'RESET'
  const known = Object.hasOwn(special, type) ? special[type] : undefined
  return known ?? words(type.replace(/Stmt$/, '').replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_'))
}

function words(name: string): string {
  return name.replaceAll('_', ' ').toUpperCase()
}
