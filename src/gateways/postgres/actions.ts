import type { GatewayAction } from '../gateway.ts'
import type { StatementClass } from './sql/class.ts'

/** The catalog's actions of this protocol, one for each class of statement that can be granted. */
export const postgresActions: readonly GatewayAction[] = [
  action('read', 'read', 2, 'Reads rows.', {}),
  action('write', 'change', 1, 'Changes rows, takes locks, calls functions of unknown effect.', {}),
  action('listen', 'change', 2, 'Listens on and notifies channels, which cross grants (core 25).', {}),
  action('schema', 'change', 1, 'Creates, changes and drops objects; runs code nobody can see into.', {}),
  action('privilege', 'admin', 0, 'Changes roles, memberships, ownership and rights.', { reason: '' }),
  action('superuser', 'admin', 0, 'Changes the cluster itself.', { reason: '' }),
  action('program', 'admin', 0, 'Runs programs and reads files on the server’s machine.', { reason: '' }),
]

/** The actions that classes need. Classes that every session may use, and what is never granted, have none. */
const ACTIONS: Readonly<Record<StatementClass, string | undefined>> = {
  transaction: undefined,
  session: undefined,
  forbidden: undefined,
  read: 'postgres.read',
  write: 'postgres.write',
  listen: 'postgres.listen',
  schema: 'postgres.schema',
  privilege: 'postgres.privilege',
  superuser: 'postgres.superuser',
  'program-file': 'postgres.program',
}

/** The action that a class needs. */
export function actionFor(statementClass: StatementClass): string | undefined {
  return ACTIONS[statementClass]
}

function action(
  name: string,
  group: GatewayAction['class'],
  tier: GatewayAction['tier'],
  summary: string,
  obligations: GatewayAction['obligations'],
): GatewayAction {
  return { name: `postgres.${name}`, class: group, tier, summary, obligations }
}
