/** What can be granted on a host. The boundary is the account that the certificate names, and for single commands the certificate itself. */
export const sshActions = [
  {
    name: 'ssh.exec',
    class: 'change',
    tier: 1,
    summary: 'Runs one command on a host, fixed in the certificate.',
    obligations: {},
  },
  { name: 'ssh.shell', class: 'change', tier: 1, summary: 'Opens a shell on a host.', obligations: {} },
  {
    name: 'ssh.root',
    class: 'admin',
    tier: 0,
    summary: 'Acts on a host as root, or becomes it.',
    obligations: { reason: '' },
  },
] as const

export const SSH = 'ssh'
