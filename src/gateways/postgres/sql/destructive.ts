import { isTreeObject, type TreeObject } from './parser.ts'

// Which statements take something away that the next one cannot bring back: the class `destructive`, whose operations policies may hold
// for a person. It is a guard against the wrong statement, not a boundary: functions, triggers and rules at the target are not seen.

type Rule = boolean | ((node: TreeObject) => boolean)

const RULES: Readonly<Record<string, Rule>> = {
  DropStmt: true,
  DropdbStmt: true,
  DropOwnedStmt: true,
  DropRoleStmt: true,
  DropSubscriptionStmt: true,
  DropTableSpaceStmt: true,
  DropUserMappingStmt: true,
  TruncateStmt: true,
  DeleteStmt: isOfEveryRow,
  UpdateStmt: isOfEveryRow,
  MergeWhenClause: (node) => node.commandType === 'CMD_DELETE' && node.condition === undefined,
  AlterTableCmd: ({ subtype, def }) =>
    /^AT_(?:Drop|Detach)/.test(text(subtype)) || (subtype === 'AT_ColumnDefault' && def === undefined),
  // ALTER DOMAIN … DROP: C a constraint dropped (X), N and O of NOT NULL.
  AlterDomainStmt: (node) => text(node.subtype) === 'X',
  // ALTER EXTENSION … DROP.
  AlterExtensionContentsStmt: (node) => node.action === -1,
  AlterOpFamilyStmt: (node) => node.isDrop === true,
  // Code that is not in the statement: a block, a procedure, what was prepared before.
  DoStmt: true,
  CallStmt: true,
  ExecuteStmt: true,
}

/** Whether a node makes its statement destructive. */
export function isDestructive(type: string, node: TreeObject): boolean {
  const rule = Object.hasOwn(RULES, type) ? RULES[type] : undefined
  return typeof rule === 'function' ? rule(node) : rule === true
}

/** No WHERE, or one that looks at no column, such as `where true`. */
function isOfEveryRow({ whereClause }: TreeObject): boolean {
  return whereClause === undefined || !looksAtARow(whereClause)
}

function looksAtARow(clause: unknown): boolean {
  const pending: unknown[] = [clause]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (Array.isArray(node)) for (const item of node) pending.push(item)
    else if (isTreeObject(node)) {
      if ('ColumnRef' in node || 'CurrentOfExpr' in node) return true
      for (const value of Object.values(node)) pending.push(value)
    }
  }
  return false
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
