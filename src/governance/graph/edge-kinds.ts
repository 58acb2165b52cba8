/** What lets one thing act as another, or reach it. Each is read from rows of one table, and the row is its evidence. */
export const EDGES = {
  holds: { words: 'claims the account', evidence: 'account' },
  linked: { words: 'is, by a link to the record,', evidence: 'link' },
  'same-as': { words: 'was merged with', evidence: 'merge' },
  'answers-for': { words: 'answers for', evidence: 'identity' },
  proves: { words: 'proves', evidence: 'credential' },
  'authorized-key': { words: 'is an authorized key of', evidence: 'credential' },
  'delegated-token': { words: 'is a delegated token of', evidence: 'credential' },
  'vendor-grant': { words: 'is a grant that a vendor holds, of', evidence: 'credential' },
  'same-secret': { words: 'is the same secret as', evidence: 'credential' },
  keeps: { words: 'keeps or uses', evidence: 'reference' },
  'member-of': { words: 'is a member of', evidence: 'grant' },
  'administers-group': { words: 'may join', evidence: 'grant' },
  'can-assume': { words: 'may act as', evidence: 'grant' },
  trusted: { words: 'is trusted to act as', evidence: 'trust' },
  'trusts-issuer': { words: 'issues what is believed by', evidence: 'trust' },
  'gets-token': { words: 'can get', evidence: 'resource' },
  superuser: { words: 'is a superuser of', evidence: 'grant' },
  sudo: { words: 'becomes root of', evidence: 'grant' },
  owns: { words: 'owns', evidence: 'grant' },
  administers: { words: 'administers', evidence: 'grant' },
  'can-set-password': { words: 'may set the login of', evidence: 'grant' },
  'execute-server-program': { words: 'runs programs or writes files on the server of', evidence: 'principal' },
  'can-read-secret': { words: 'may read', evidence: 'grant' },
  'can-create-pods': { words: 'may run what it likes among', evidence: 'grant' },
  'can-write-pipeline': { words: 'may change what runs in', evidence: 'grant' },
  everybody: { words: 'is, as everybody there, in', evidence: 'principal' },
  'holds-secret': { words: 'has', evidence: 'credential' },
  'runs-as': { words: 'may run as', evidence: 'principal' },
  contains: { words: 'holds inside it', evidence: 'resource' },
  controls: { words: 'controls', evidence: 'resource' },
} as const

export type EdgeKind = keyof typeof EDGES
export type EvidenceKind = (typeof EDGES)[EdgeKind]['evidence']

/** In the order of their numbers: of two edges between the same things the lower one is told, which says more plainly why. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
export const EDGE_KINDS = Object.keys(EDGES) as EdgeKind[]
