/** What can be granted at MySQL and MariaDB. The boundary is the role that the action is mapped to: nothing of ours reads the statements. */
export const mysqlActions = [
  { name: 'mysql.read', class: 'read', tier: 2, summary: 'Reads tables.', obligations: {} },
  { name: 'mysql.write', class: 'change', tier: 1, summary: 'Changes rows.', obligations: {} },
  {
    name: 'mysql.schema',
    class: 'change',
    tier: 1,
    summary: 'Changes tables, views, routines, triggers and events.',
    obligations: { reason: '' },
  },
  {
    name: 'mysql.admin',
    class: 'admin',
    tier: 0,
    summary: 'Administers the server: users, rights, settings.',
    obligations: { reason: '' },
  },
] as const
