/** What can be granted on dynamic secrets. The boundary is the role behind the path that the action is mapped to. */
export const openbaoActions = [
  { name: 'openbao.read', class: 'read', tier: 2, summary: 'Gets a dynamic secret whose role reads.', obligations: {} },
  {
    name: 'openbao.change',
    class: 'change',
    tier: 1,
    summary: 'Gets a dynamic secret whose role changes something.',
    obligations: {},
  },
  {
    name: 'openbao.admin',
    class: 'admin',
    tier: 0,
    summary: 'Gets a dynamic secret whose role administers.',
    obligations: { reason: '' },
  },
] as const
