/** What can be granted on an account of AWS. The boundary is the role that the action is mapped to, and the session policy of the target's settings. */
export const awsActions = [
  {
    name: 'aws.read',
    class: 'read',
    tier: 2,
    summary: 'Looks at an account of AWS in a session of a role.',
    obligations: {},
  },
  {
    name: 'aws.change',
    class: 'change',
    tier: 1,
    summary: 'Changes an account of AWS in a session of a role.',
    obligations: {},
  },
  {
    name: 'aws.admin',
    class: 'admin',
    tier: 0,
    summary: 'Administers an account of AWS in a session of a role.',
    obligations: { reason: '' },
  },
] as const
