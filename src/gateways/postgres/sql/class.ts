/**
 * What a statement needs, from harmless to never. The order is the order of `rankOf`; `forbidden` cannot be granted.
 * - transaction: BEGIN, COMMIT, SAVEPOINT … · session: settings that only shape this session, DEALLOCATE, DISCARD
 * - read: cannot change anything, as far as names of functions tell · write: rows, sequences, locks, unknown functions
 * - listen: LISTEN, NOTIFY · schema: objects and their definitions, and code nobody can see into (DO)
 * - privilege: who may do what, who one is · superuser: the cluster, and whatever is not known here
 * - program-file: programs and files of the server's machine
 */
const statementClasses = [
  'transaction',
  'session',
  'read',
  'listen',
  'write',
  'schema',
  'privilege',
  'superuser',
  'program-file',
  'forbidden',
] as const

export type StatementClass = (typeof statementClasses)[number]

export function rankOf(name: StatementClass): number {
  return statementClasses.indexOf(name)
}

/** The statement cannot be decided on. `code` is a SQLSTATE; `position` counts characters from 1, as the server does. */
export class UnreadableSql extends Error {
  readonly code: string
  readonly position: number | undefined

  constructor(code: string, message: string, position?: number) {
    super(message)
    this.name = 'UnreadableSql'
    this.code = code
    this.position = position
  }
}
