/** What can be granted on a cluster by token. The boundary is the service account that the action is mapped to: its RBAC, not ours. */
export const kubernetesTokenActions = [
  {
    name: 'k8s-token.read',
    class: 'read',
    tier: 2,
    summary: 'Reads by a token of a service account.',
    obligations: {},
  },
  {
    name: 'k8s-token.change',
    class: 'change',
    tier: 1,
    summary: 'Changes objects by a token of a service account.',
    obligations: {},
  },
  {
    name: 'k8s-token.admin',
    class: 'admin',
    tier: 0,
    summary: 'Administers a cluster by a token of a service account.',
    obligations: { reason: '' },
  },
] as const
