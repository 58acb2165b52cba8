import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, pageOf, PageQuery, type Operation } from '../../kernel/operation.ts'
import { conflict, notFound, problem } from '../../kernel/problem.ts'
import { noTrustDomain, svidRefused } from '../spiffe/contract.ts'
import { Selector } from './selector.ts'

const Text = shown(z.string())
const Secret = z.string().meta({ classification: 'secret' })
const Pem = shown(z.string().min(1).max(2000))
const Reason = shown(z.string().min(1).max(500))
const oneIdentity = z.object({ identity: z.string().min(1).max(63).describe('name or id') })

/** What a signature of a host key is made for; no other program asks for one in this name. */
export const HOST_KEY_NAMESPACE = 'reeve-machine'

/** What a machine shows of itself, when it joins and each time it goes on. */
const Shown = {
  publicKey: Pem.describe('of the key that the agent made: SubjectPublicKeyInfo of a P-256 key as PEM'),
  bootId: shown(z.uuid()).describe('of /proc/sys/kernel/random/boot_id'),
  at: Instant.describe('when it was signed'),
  hostKey: shown(z.string().max(2000)).optional().describe('a line of /etc/ssh/ssh_host_*_key.pub'),
  hostSignature: shown(z.string().max(8000)).optional().describe('by that key, as ssh-keygen -Y sign makes it'),
}

/** The text that a host key signs: it binds the agent's own key, so that what was signed is of no use to anybody else. */
export function attestationText(
  purpose: 'join' | 'renew',
  identity: string,
  shownNow: { readonly publicKey: string; readonly bootId: string; readonly at: Date },
): string {
  const { publicKey, bootId, at } = shownNow
  return ['reeve machine', purpose, identity, publicKey.replaceAll(/\s+/g, ''), bootId, at.toISOString()].join('\n')
}

const MachineInvitation = z
  .object({
    id: Id,
    identityId: Id,
    method: shown(z.enum(['token', 'host-key'])),
    hostKeys: shown(z.array(z.string())).describe('one of these proves the machine, as its target pins them'),
    expiresAt: Instant.nullable(),
    secret: Secret.nullable().describe('the join token, shown once'),
  })
  .meta({ id: 'MachineInvitation' })
const Admission = z
  .object({
    identityId: Id,
    identity: Slug,
    trustDomain: Text,
    token: Secret,
    certificate: shown(z.string()).describe('PEM, for the key that was sent'),
    expiresAt: Instant,
  })
  .meta({ id: 'MachineAdmission' })
export const Machine = z
  .object({
    id: Id,
    identityId: Id,
    identity: Slug,
    method: shown(z.enum(['token', 'host-key'])),
    hostKey: Text.nullable(),
    bootId: Id,
    joinedAt: Instant,
    renewedAt: Instant,
    expiresAt: Instant,
    endedAt: Instant.nullable(),
    endReason: Text.nullable(),
  })
  .meta({ id: 'Machine' })
export type Machine = z.output<typeof Machine>

export const Placement = z
  .object({
    id: Id,
    machineId: Id,
    machine: Slug,
    identityId: Id,
    identity: Slug,
    selectors: shown(z.array(z.string())),
    hint: Text.nullable(),
    createdAt: Instant,
    endedAt: Instant.nullable(),
  })
  .meta({ id: 'Placement' })
export type Placement = z.output<typeof Placement>

/** What an agent has to know to serve the workloads of its machine. */
const MachineState = z
  .object({
    version: Text,
    trustDomain: Text,
    bundle: shown(z.string()).describe('JWK set'),
    federated: shown(z.array(z.object({ trustDomain: z.string(), bundle: z.string() })).max(100)),
    placements: shown(
      z
        .array(
          z.object({
            id: z.uuid(),
            spiffeId: z.string(),
            selectors: z.array(z.string()),
            hint: z.string().nullable(),
          }),
        )
        .max(5000),
    ),
  })
  .meta({ id: 'MachineState' })
export type MachineState = z.output<typeof MachineState>

/** One answer whatever was wrong: the token, the key, the identity, the moment. */
export const machineRefused = problem('machine-refused', 403, 'The machine is not admitted', {})

export const inviteMachine = operation({
  id: 'machine.invite',
  method: 'POST',
  path: '/v1/identities/:identity/machine-invitations',
  summary: 'Lets one machine join: once by a short token, or by the SSH host key that a target pins.',
  function: 'nhi',
  resource: 'Identity',
  params: oneIdentity,
  input: z.strictObject({
    target: Slug.optional().describe('an SSH target: its pinned host keys prove the machine, and no token is made'),
    ttlSeconds: shown(z.int().min(60).max(3600)).default(900).describe('how long the token may be used'),
  }),
  output: MachineInvitation,
  status: 201,
  rate: 'tight',
  problems: [notFound, conflict],
})
export const joinMachine = operation({
  id: 'machine.join',
  method: 'POST',
  path: '/v1/machines/join',
  summary: 'Admits the agent of a machine by its token or its host key; called by the agent.',
  function: 'nhi',
  resource: 'Installation',
  input: z.strictObject({
    identity: shown(z.string().min(1).max(63)).describe('name or id of the machine'),
    token: Secret.max(200).optional(),
    ...Shown,
  }),
  output: Admission,
  caller: 'none',
  status: 201,
  problems: [machineRefused, noTrustDomain],
})
export const renewMachine = operation({
  id: 'machine.renew',
  method: 'POST',
  path: '/v1/machines/renew',
  summary: 'Lets an admitted machine go on, when what it proved is still so; called by the agent.',
  function: 'nhi',
  resource: 'Identity',
  input: z.strictObject(Shown),
  output: Admission,
  status: 201,
  problems: [machineRefused, noTrustDomain],
})
export const evictMachine = operation({
  id: 'machine.evict',
  method: 'POST',
  path: '/v1/identities/:identity/machine-evictions',
  summary: 'Ends what a machine was admitted to, at once; it joins again only after another invitation.',
  function: 'nhi',
  resource: 'Identity',
  params: oneIdentity,
  input: z.strictObject({ reason: Reason }),
  output: z.object({ ended: shown(z.int()).describe('admissions and invitations that ended') }),
  problems: [notFound],
})
export const listMachines = operation({
  id: 'machine.list',
  method: 'GET',
  path: '/v1/machines',
  summary: 'Lists machines whose agent joined, and how each proved itself.',
  function: 'nhi',
  resource: 'Installation',
  query: PageQuery,
  output: pageOf(Machine),
})
export const followMachine = operation({
  id: 'machine.follow',
  method: 'GET',
  path: '/v1/machines/own',
  summary: 'What the agent of a machine serves: at once, or when it is other than the version named.',
  function: 'nhi',
  resource: 'Identity',
  query: z.object({
    version: z.string().max(64).optional(),
    wait: z.coerce.number().int().min(0).max(20).default(0).describe('for so many seconds, while nothing changes'),
  }),
  output: MachineState,
  problems: [machineRefused, noTrustDomain],
})
export const certifyOnMachine = operation({
  id: 'machine.certify',
  method: 'POST',
  path: '/v1/machines/own/x509-svids',
  summary: 'Certifies a key as an X509-SVID of a workload that is placed on the calling machine.',
  function: 'nhi',
  resource: 'Identity',
  input: z.strictObject({ placement: Id, publicKey: Pem }),
  output: z
    .object({ certificate: shown(z.string()), issuedAt: Instant, expiresAt: Instant })
    .meta({ id: 'PlacedX509Svid' }),
  status: 201,
  problems: [machineRefused, notFound, noTrustDomain, svidRefused],
})
export const vouchOnMachine = operation({
  id: 'machine.vouch',
  method: 'POST',
  path: '/v1/machines/own/jwt-svids',
  summary: 'Issues a JWT-SVID of a workload that is placed on the calling machine.',
  function: 'nhi',
  resource: 'Identity',
  input: z.strictObject({
    placement: Id,
    audience: shown(z.array(z.string().min(1).max(500)).min(1).max(10)),
  }),
  output: z.object({ token: Secret, issuedAt: Instant, expiresAt: Instant }).meta({ id: 'PlacedJwtSvid' }),
  status: 201,
  problems: [machineRefused, notFound, noTrustDomain, svidRefused],
})
export const createPlacement = operation({
  id: 'placement.create',
  method: 'POST',
  path: '/v1/identities/:identity/placements',
  summary: 'Lets the agent of a machine vouch for a workload, to processes that every selector fits.',
  function: 'nhi',
  resource: 'Identity',
  params: oneIdentity,
  input: z.strictObject({
    machine: shown(z.string().min(1).max(63)).describe('name or id'),
    selectors: shown(z.array(Selector).min(1).max(16)).describe('all of them must fit, such as unix:user:postgres'),
    hint: shown(z.string().min(1).max(100))
      .optional()
      .describe('told to the workload, where it has several identities'),
  }),
  output: Placement,
  status: 201,
  problems: [notFound, conflict],
})
export const endPlacement = operation({
  id: 'placement.end',
  method: 'POST',
  path: '/v1/placements/:placement/end',
  summary: 'Ends a placement: the agent of its machine serves that workload no more.',
  function: 'nhi',
  resource: 'Identity',
  params: z.object({ placement: Id }),
  input: z.strictObject({ reason: Reason }),
  output: Placement,
  problems: [notFound, conflict],
})
export const listPlacements = operation({
  id: 'placement.list',
  method: 'GET',
  path: '/v1/placements',
  summary: 'Lists which workloads are placed on which machines, and by which selectors.',
  function: 'nhi',
  resource: 'Installation',
  query: PageQuery,
  output: pageOf(Placement),
})

export const machineOperations: readonly Operation[] = [
  inviteMachine,
  joinMachine,
  renewMachine,
  evictMachine,
  listMachines,
  followMachine,
  certifyOnMachine,
  vouchOnMachine,
  createPlacement,
  endPlacement,
  listPlacements,
]
