/** What can be granted on a realm. The boundary is what its client may. */
export const keycloakActions = [
  { name: 'keycloak.read', class: 'read', tier: 2, summary: 'Reads with the lent login of a client.', obligations: {} },
  {
    name: 'keycloak.change',
    class: 'change',
    tier: 1,
    summary: 'Changes with the lent login of a client.',
    obligations: {},
  },
  {
    name: 'keycloak.admin',
    class: 'admin',
    tier: 0,
    summary: 'Administers with the lent login of a client.',
    obligations: { reason: '' },
  },
] as const
