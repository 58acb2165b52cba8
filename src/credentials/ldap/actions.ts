/** What can be granted on a directory. The boundary is what it lets the entry do. */
export const ldapActions = [
  { name: 'ldap.read', class: 'read', tier: 2, summary: 'Reads with the lent login of an entry.', obligations: {} },
  {
    name: 'ldap.change',
    class: 'change',
    tier: 1,
    summary: 'Changes with the lent login of an entry.',
    obligations: {},
  },
  {
    name: 'ldap.admin',
    class: 'admin',
    tier: 0,
    summary: 'Administers with the lent login of an entry.',
    obligations: { reason: '' },
  },
] as const
