import type { StatementClass } from './class.ts'
import { isTreeObject, type TreeObject } from './parser.ts'
import { classifySetting } from './settings.ts'

// What each statement of the grammar needs by itself, before one looks inside. Nodes that are in neither table below are unknown
// and taken for the worst that can be granted.

type Rule = StatementClass | ((node: TreeObject) => StatementClass)

/** Rules by node type. */
export const statementRules: Readonly<Record<string, Rule>> = {
  SelectStmt: 'read',
  DeclareCursorStmt: 'read',
  ClosePortalStmt: 'read',
  FetchStmt: 'read',
  // EXPLAIN runs the planner, which evaluates functions, and ANALYZE runs the statement: it needs what the statement needs.
  ExplainStmt: 'read',
  PrepareStmt: 'session',
  DeallocateStmt: 'session',
  // DISCARD ALL keeps a role that ALTER ROLE … SET role gave, and start-up settings; measured on 15 and 18.
  DiscardStmt: 'session',
  VariableShowStmt: 'session',
  VariableSetStmt: settingNeeds,
  TransactionStmt: (node) => (preparedTransaction.has(text(node.kind)) ? 'forbidden' : 'transaction'),
  ConstraintsSetStmt: 'transaction',

  InsertStmt: changedTable,
  UpdateStmt: changedTable,
  DeleteStmt: changedTable,
  MergeStmt: changedTable,
  TruncateStmt: 'write',
  // Every SELECT takes the weakest lock, mode 1 (lockdefs.h), and keeps it as long.
  LockStmt: ({ mode }) => (mode === 1 ? 'read' : 'write'),
  LockingClause: 'write',
  // What it runs was prepared earlier, perhaps out of sight.
  ExecuteStmt: 'write',
  CallStmt: 'write',
  CopyStmt: copyNeeds,

  ListenStmt: 'listen',
  UnlistenStmt: 'listen',
  NotifyStmt: 'listen',

  // An anonymous block is dynamic SQL: it may define objects as well as change rows. The role upstream is its boundary.
  DoStmt: (node) => languageNeeds(node.args),
  CreateFunctionStmt: functionNeeds,
  AlterFunctionStmt: functionNeeds,
  AlterTableCmd: tableCommandNeeds,
  CreateSchemaStmt: (node) => (node.authrole ? 'privilege' : 'schema'),
  DefineStmt: defineNeeds,
  DropStmt: (node) => objectNeeds(node.removeType),
  RenameStmt: (node) => objectNeeds(node.renameType),
  AlterObjectSchemaStmt: (node) => objectNeeds(node.objectType),
  AlterObjectDependsStmt: (node) => objectNeeds(node.objectType),
  CommentStmt: (node) => objectNeeds(node.objtype),

  ...table(
    'schema',
    `AlterCollationStmt AlterDomainStmt AlterEnumStmt AlterExtensionContentsStmt AlterOperatorStmt AlterSeqStmt AlterStatsStmt
     AlterTSConfigurationStmt AlterTSDictionaryStmt AlterTableMoveAllStmt AlterTableStmt AlterTypeStmt ClusterStmt
     CompositeTypeStmt CreateDomainStmt CreateEnumStmt CreateForeignTableStmt CreateRangeStmt CreateSeqStmt CreateStatsStmt
     CreateStmt CreateTableAsStmt CreateTrigStmt IndexStmt RefreshMatViewStmt ReindexStmt ReplicaIdentityStmt RuleStmt
     VacuumStmt ViewStmt`,
  ),
  ...table(
    'privilege',
    `AlterDefaultPrivilegesStmt AlterOwnerStmt AlterPolicyStmt AlterRoleSetStmt AlterRoleStmt CreatePolicyStmt CreateRoleStmt
     DropOwnedStmt DropRoleStmt GrantRoleStmt GrantStmt ReassignOwnedStmt SecLabelStmt`,
  ),
  LoadStmt: 'program-file',
}

/** Parts of statements that need nothing by themselves. */
export const plainNodes: ReadonlySet<string> = new Set(
  `A_ArrayExpr A_Const A_Expr A_Indices A_Indirection A_Star ATAlterConstraint AccessPriv Alias BitString BoolExpr Boolean
   BooleanTest CTECycleClause CTESearchClause CaseExpr CaseWhen CoalesceExpr CollateClause ColumnDef ColumnRef
   CommonTableExpr Constraint CurrentOfExpr DefElem Float FunctionParameter GroupingFunc GroupingSet IndexElem InferClause
   Integer JoinExpr JsonArgument JsonBehavior JsonFormat JsonIsPredicate JsonOutput JsonReturning JsonTableColumn
   JsonTablePathSpec JsonValueExpr JsonKeyValue List MergeWhenClause MinMaxExpr MultiAssignRef NamedArgExpr NullTest
   ObjectWithArgs OnConflictClause ParamRef PartitionBoundSpec PartitionCmd PartitionElem PartitionRangeDatum PartitionSpec
   RangeFunction RangeSubselect RangeTableFunc RangeTableFuncCol ResTarget ReturnStmt ReturningClause ReturningOption RoleSpec
   RowExpr SQLValueFunction SetToDefault StatsElem String SubLink TableLikeClause TriggerTransition TypeCast TypeName
   VacuumRelation WindowDef WithClause XmlExpr XmlSerialize SortBy RangeVar FuncCall RangeTableSample`.split(/\s+/),
)

/** Expressions of the grammar that an older server reads as a call of anybody's function: the major version that has them. */
export const newerNodes: Readonly<Record<string, number>> = {
  JsonAggConstructor: 16,
  JsonArrayAgg: 16,
  JsonArrayConstructor: 16,
  JsonArrayQueryConstructor: 16,
  JsonObjectAgg: 16,
  JsonObjectConstructor: 16,
  JsonFuncExpr: 17,
  JsonParseExpr: 17,
  JsonScalarExpr: 17,
  JsonSerializeExpr: 17,
  JsonTable: 17,
  MergeSupportFunc: 17,
}

const preparedTransaction = new Set([
  'TRANS_STMT_PREPARE',
  'TRANS_STMT_COMMIT_PREPARED',
  'TRANS_STMT_ROLLBACK_PREPARED',
])

function settingNeeds(node: TreeObject): StatementClass {
  const name = text(node.name)
  switch (text(node.kind)) {
    case 'VAR_RESET_ALL':
      return 'session'
    case 'VAR_SET_MULTI':
      // SET TRANSACTION, SET SESSION CHARACTERISTICS, SET TRANSACTION SNAPSHOT.
      return /^(SESSION CHARACTERISTICS|TRANSACTION)/.test(name) ? 'transaction' : 'superuser'
    case 'VAR_SET_VALUE':
      return classifySetting(name, settingValue(node.args))
    case 'VAR_SET_DEFAULT':
    case 'VAR_SET_CURRENT':
    case 'VAR_RESET':
      return classifySetting(name, undefined)
    default:
      return 'superuser'
  }
}

function settingValue(args: unknown): string | null {
  if (!Array.isArray(args)) return null
  const values = args.map(constantText)
  return values.includes(null) ? null : values.join(', ')
}

/** The text of a constant, through casts; null for anything that is not one. */
export function constantText(node: unknown): string | null {
  let inner = node
  while (isTreeObject(inner) && isTreeObject(inner.TypeCast)) inner = inner.TypeCast.arg
  const constant = isTreeObject(inner) && isTreeObject(inner.A_Const) ? inner.A_Const : undefined
  if (!constant) return null
  for (const [kind, value] of Object.entries(constant)) {
    if (!isTreeObject(value)) continue
    if (kind === 'sval') return text(value.sval)
    if (kind === 'fval') return text(value.fval)
    if (kind === 'ival') return typeof value.ival === 'number' ? String(value.ival) : '0'
    if (kind === 'boolval') return value.boolval === true ? 'on' : 'off'
  }
  return null
}

/** `UPDATE pg_settings` is a SET that no statement shows (a rule calls set_config), other system tables are the server itself. */
function changedTable(node: TreeObject): StatementClass {
  return relationNeeds(node.relation)
}

function relationNeeds(relation: unknown): StatementClass {
  const { relname, schemaname } = isTreeObject(relation) ? relation : {}
  if (relname === 'pg_settings') return 'forbidden'
  return text(relname).startsWith('pg_') || schemaname === 'pg_catalog' ? 'superuser' : 'write'
}

function copyNeeds(node: TreeObject): StatementClass {
  if (node.is_program === true || text(node.filename) !== '') return 'program-file'
  if (node.is_from === true) return relationNeeds(node.relation)
  return 'read'
}

const trustedLanguages = new Set(['sql', 'plpgsql'])

function languageNeeds(options: unknown): StatementClass {
  const language = option(options, 'language')
  // Without one it is SQL or PL/pgSQL. C, internal and untrusted languages run outside any role.
  return language === undefined || trustedLanguages.has(text(language).toLowerCase()) ? 'schema' : 'superuser'
}

function functionNeeds(node: TreeObject): StatementClass {
  const options = node.options ?? node.actions
  if (languageNeeds(options) === 'superuser' || option(options, 'leakproof') === true) return 'superuser'
  return option(options, 'security') === true ? 'privilege' : 'schema'
}

/** The value of an option in a list of DefElem: text or boolean. */
function option(list: unknown, name: string): string | boolean | undefined {
  if (!Array.isArray(list)) return undefined
  for (const item of list) {
    const element: unknown = isTreeObject(item) ? item.DefElem : undefined
    if (!isTreeObject(element) || element.defname !== name) continue
    const value = element.arg
    if (isTreeObject(value) && isTreeObject(value.String)) return text(value.String.sval)
    if (isTreeObject(value) && isTreeObject(value.Boolean)) return value.Boolean.boolval === true
    return ''
  }
  return undefined
}

const privilegeCommands = new Set([
  'AT_ChangeOwner',
  'AT_EnableRowSecurity',
  'AT_DisableRowSecurity',
  'AT_ForceRowSecurity',
  'AT_NoForceRowSecurity',
])

function tableCommandNeeds(node: TreeObject): StatementClass {
  return privilegeCommands.has(text(node.subtype)) ? 'privilege' : 'schema'
}

const ownObjects = new Set(
  `AGGREGATE ATTRIBUTE COLLATION COLUMN DEFAULT DOMAIN DOMCONSTRAINT FOREIGN_TABLE FUNCTION INDEX MATVIEW OPERATOR PROCEDURE
   ROUTINE RULE SCHEMA SEQUENCE STATISTIC_EXT TABCONSTRAINT TABLE TRIGGER TSCONFIGURATION TSDICTIONARY TYPE VIEW`
    .split(/\s+/)
    .map((name) => `OBJECT_${name}`),
)

function objectNeeds(type: unknown): StatementClass {
  if (type === 'OBJECT_ROLE' || type === 'OBJECT_POLICY') return 'privilege'
  if (type === 'OBJECT_LARGEOBJECT') return 'write'
  return ownObjects.has(text(type)) ? 'schema' : 'superuser'
}

/** A base type or text search parser names C functions. */
function defineNeeds(node: TreeObject): StatementClass {
  if (node.kind === 'OBJECT_TYPE' && Array.isArray(node.definition)) return 'superuser'
  return objectNeeds(node.kind)
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function table(needed: StatementClass, names: string): Record<string, StatementClass> {
  return Object.fromEntries(names.split(/\s+/).map((name) => [name, needed]))
}
