import { z } from 'zod'
import { grantOver, proofTooWeak, useRefused, keyTaken } from '../../access/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, type Operation } from '../../kernel/operation.ts'
import { notFound, problem } from '../../kernel/problem.ts'
import { leaseRefused } from '../problems.ts'

export { SshSettings } from './settings.ts'

/** A longer command belongs into a script on the host, where it can be reviewed. */
const COMMAND_MAX = 1000
const NETWORKS_MAX = 16

const Line = shown(z.string().min(1).max(8000))
/** An IPv4 or IPv6 address, or a network in CIDR form. */
const Network = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()])

export const SshCertificate = z
  .object({
    leaseId: Id,
    grantId: Id,
    serial: shown(z.string()),
    keyId: shown(z.string()).describe('what the host writes into its log'),
    certificate: Line.describe('one line, for the file beside the key'),
    login: shown(z.string()).describe('the account on the host'),
    host: shown(z.string()),
    port: shown(z.int()),
    knownHosts: shown(z.array(z.string())).describe('lines for a known_hosts file'),
    principals: shown(z.array(z.string())),
    sourceAddresses: shown(z.array(z.string())),
    command: shown(z.string()).nullable().describe('the only one it runs'),
    validBefore: Instant,
  })
  .meta({ id: 'SshCertificate' })

export const SshAuthority = z
  .object({
    id: Id,
    line: Line.describe('a line for TrustedUserCAKeys'),
    state: shown(z.enum(['signing', 'trusted'])),
    createdAt: Instant,
    retiredAt: Instant.nullable(),
  })
  .meta({ id: 'SshAuthority' })
export type SshAuthority = z.output<typeof SshAuthority>

/** The key is of no type that gets certificates, or too short. */
export const sshKeyUnsuitable = problem('ssh-key-unsuitable', 422, 'The key gets no certificate', {})
/** The grant does not let its holder in at a host by certificate: what is missing is in the sentence. */
export const sshRefused = problem('ssh-refused', 409, 'No certificate for a host is issued under this grant', {
  grantId: z.uuid(),
})

export const issueSshCertificate = operation({
  id: 'ssh-certificate.issue',
  method: 'POST',
  path: '/v1/grants/:grant/ssh-certificates',
  summary: 'Signs an SSH public key for a host, for a few minutes, under a grant.',
  function: 'nhi',
  resource: 'Grant',
  params: z.object({ grant: Id }),
  input: z.strictObject({
    publicKey: Line.describe('as OpenSSH has it in a .pub file; a new one for each grant'),
    command: shown(
      z
        .string()
        .min(1)
        .max(COMMAND_MAX)
        // oxlint-disable-next-line no-control-regex -- a line that sshd hands to a shell
        .regex(/^[^\u0000-\u001f\u007f]+$/, 'a command is one line'),
    )
      .optional()
      .describe('the only one the certificate runs; needed where the grant covers no shell'),
    sourceAddresses: shown(z.array(Network).min(1).max(NETWORKS_MAX))
      .optional()
      .describe('from where it is good; the address of this call when left out'),
  }),
  output: SshCertificate,
  status: 201,
  problems: [notFound, grantOver, keyTaken, proofTooWeak, useRefused, leaseRefused, sshKeyUnsuitable, sshRefused],
})
export const listSshAuthorities = operation({
  id: 'ssh-authority.list',
  method: 'GET',
  path: '/v1/ssh/authorities',
  summary: 'Lists the keys whose certificates hosts are to trust.',
  function: 'nhi',
  resource: 'Installation',
  output: z.object({ items: z.array(SshAuthority) }),
})
export const rotateSshAuthority = operation({
  id: 'ssh-authority.rotate',
  method: 'POST',
  path: '/v1/ssh/authorities',
  summary:
    'Makes a new key for certificates of hosts; the one before is trusted until its last certificate has run out.',
  function: 'nhi',
  resource: 'Installation',
  input: z.strictObject({
    distrust: shown(z.boolean()).default(false).describe('at once: whatever the old key signed is refused'),
    reason: shown(z.string().min(1).max(500)),
  }),
  output: SshAuthority,
  status: 201,
})
export const readSshRevocations = operation({
  id: 'ssh-authority.revoked',
  method: 'GET',
  path: '/v1/ssh/revoked-keys',
  summary: 'The list of revoked certificates as sshd reads it (RevokedKeys); hosts fetch it without a proof.',
  function: 'nhi',
  resource: 'Installation',
  output: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  answer: 'bytes',
  caller: 'none',
  rate: 'ordinary',
})

export const sshOperations: readonly Operation[] = [
  issueSshCertificate,
  listSshAuthorities,
  rotateSshAuthority,
  readSshRevocations,
]
