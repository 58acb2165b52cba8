/** What can be granted on a server that takes a login. The boundary is what the server lets that login do. */
export const httpsActions = [
  { name: 'https.read', class: 'read', tier: 2, summary: 'Pulls with a lent login.', obligations: {} },
  { name: 'https.change', class: 'change', tier: 1, summary: 'Pushes with a lent login.', obligations: {} },
  {
    name: 'https.admin',
    class: 'admin',
    tier: 0,
    summary: 'Administers with a lent login.',
    obligations: { reason: '' },
  },
] as const
