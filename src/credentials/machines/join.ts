import type { z } from 'zod'
import {
  actOf,
  findIdentity,
  giveAttestedToken,
  loadIdentity,
  loadIdentityByName,
} from '../../identities/identities.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { equalBytes, sha256 } from '../../kernel/crypto.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Caller } from '../../kernel/http/route.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import { sshKeyLine, verifySshSignature } from '../../kernel/ssh-signature.ts'
import { takeProof } from '../../tokens/tokens.ts'
import { attestationText, HOST_KEY_NAMESPACE, machineRefused, type joinMachine, type renewMachine } from './contract.ts'
import { machineJoined, machineRenewed } from './events.ts'
import { endAttestation, joinSha256, pinnedOf } from './invite.ts'
import type { MachineNeeds } from './needs.ts'

type Joining = z.output<typeof joinMachine.input>
type Renewing = z.output<typeof renewMachine.input>
type Admission = z.output<typeof joinMachine.output>

/** An agent asks again when half of it is over. */
const ADMITTED_SECONDS = 3600
/** What a host key signed is shown at once. */
const SIGNED_SECONDS = 120
const LABEL = 'agent of the machine'

const refused = () =>
  machineRefused(
    'What was shown admits no machine: ask for another invitation, or look whether key, boot and clock are those of the machine.',
    {},
  )

/** Admits a machine by its invitation; what it was admitted to before ends. Throws `machineRefused`, in one sentence for all reasons. */
export async function join(tx: Tx, needs: MachineNeeds, input: Joining): Promise<Admission> {
  const named = (await loadIdentityByName(tx, input.identity)) ?? (await byId(tx, input.identity))
  if (named?.kind !== 'machine') throw refused()
  const now = needs.clock.now()
  const invitation = await tx
    .selectFrom('machineInvitation')
    .select(['id', 'method', 'secretSha256', 'targetId', 'expiresAt'])
    .where('identityId', '=', named.id)
    .where('endedAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!invitation) throw refused()
  const hostKey = await provenHostKey(tx, needs, { purpose: 'join', identity: named.name, input })
  if (!(await isInvited(tx, invitation, { token: input.token, hostKey, now }))) throw refused()
  const id = newId(needs.clock, needs.random)
  const { method } = invitation
  const given = await admit(tx, needs, {
    identityId: named.id,
    input,
    enter: ({ isActivated, ...facts }) =>
      needs.ledger.record(tx, {
        event: machineJoined,
        actor: { id: named.id, kind: named.kind },
        action: 'machine.join',
        resource: { type: 'Identity', id: named.id },
        outcome: 'done',
        subjectId: named.id,
        facts: {
          attestationId: id,
          method,
          ...facts,
          isActivated,
          hostKeySha256: hashOf(hostKey),
          bootId: input.bootId,
        },
      }),
  })
  const end = { now, cause: given.cause }
  if (method === 'token') {
    const used = await tx
      .updateTable('machineInvitation')
      .set({ endedAt: now, cause: given.cause })
      .where('id', '=', invitation.id)
      .where('endedAt', 'is', null)
      .executeTakeFirst()
    if (used.numUpdatedRows !== 1n) throw refused()
  }
  await endAttestation(tx, named.id, 'joined again', end)
  await tx
    .insertInto('machineAttestation')
    .values({
      id,
      identityId: named.id,
      invitationId: invitation.id,
      method,
      hostKey,
      bootId: input.bootId,
      keySha256: given.keySha256,
      tokenId: given.admission.tokenId,
      previousTokenId: null,
      joinedAt: now,
      renewedAt: now,
      expiresAt: given.admission.expiresAt,
      endedAt: null,
      endReason: null,
      cause: given.cause,
    })
    .execute()
  return answerOf(needs, given.admission)
}

/** Lets the machine of the permit go on, for which everything it proved is proven again. Throws `machineRefused`. */
export async function renew(
  tx: Tx,
  needs: MachineNeeds,
  permit: Permit<'machine.renew'>,
  { caller, input }: { readonly caller: Pick<Caller, 'proofId'>; readonly input: Renewing },
): Promise<Admission> {
  const identity = await findIdentity(tx, permit.resource.id)
  const seen = await tx
    .selectFrom('machineAttestation')
    .innerJoin('machineInvitation', 'machineInvitation.id', 'machineAttestation.invitationId')
    .select([
      'machineAttestation.id',
      'machineAttestation.method',
      'machineAttestation.hostKey',
      'machineAttestation.bootId',
      'machineAttestation.tokenId',
      'machineAttestation.previousTokenId',
      'machineInvitation.targetId',
    ])
    .where('machineAttestation.identityId', '=', identity.id)
    .where('machineAttestation.endedAt', 'is', null)
    .forUpdate('machineAttestation')
    .executeTakeFirst()
  if (!seen || seen.bootId !== input.bootId) throw refused()
  if (caller.proofId !== seen.tokenId && caller.proofId !== seen.previousTokenId) throw refused()
  const hostKey = await provenHostKey(tx, needs, { purpose: 'renew', identity: identity.name, input })
  if (seen.hostKey !== null && hostKey !== seen.hostKey) throw refused()
  if (seen.method === 'host-key' && !(await pinned(tx, seen.targetId)).includes(hostKey ?? '')) throw refused()
  const { method, id } = seen
  const given = await admit(tx, needs, {
    identityId: identity.id,
    input,
    enter: ({ isActivated: _always, ...facts }) =>
      needs.ledger.record(tx, {
        ...actOf(permit),
        event: machineRenewed,
        facts: { attestationId: id, method, ...facts, hostKeySha256: hashOf(seen.hostKey), bootId: input.bootId },
      }),
  })
  const renewed = await tx
    .updateTable('machineAttestation')
    .set({
      keySha256: given.keySha256,
      tokenId: given.admission.tokenId,
      // The one it came with stays good until the new one is used: an answer may get lost.
      previousTokenId: caller.proofId,
      renewedAt: needs.clock.now(),
      expiresAt: given.admission.expiresAt,
      cause: given.cause,
    })
    .where('id', '=', id)
    .where('endedAt', 'is', null)
    .executeTakeFirst()
  if (renewed.numUpdatedRows !== 1n) throw refused()
  return answerOf(needs, given.admission)
}

type Invitation = {
  readonly method: 'token' | 'host-key'
  readonly secretSha256: Buffer | null
  readonly targetId: string | null
  readonly expiresAt: Date | null
}
type Tried = { readonly token: string | undefined; readonly hostKey: string | null; readonly now: Date }

async function isInvited(tx: Tx, invitation: Invitation, { token, hostKey, now }: Tried): Promise<boolean> {
  const { method, secretSha256, expiresAt, targetId } = invitation
  if (method === 'host-key') return hostKey !== null && (await pinned(tx, targetId)).includes(hostKey)
  const isRight = secretSha256 !== null && equalBytes(joinSha256(token ?? ''), secretSha256)
  return isRight && expiresAt !== null && expiresAt > now
}

async function byId(tx: Tx, id: string) {
  return /^[0-9a-f-]{36}$/.test(id) ? loadIdentity(tx, id) : undefined
}

type Showing = {
  readonly purpose: 'join' | 'renew'
  readonly identity: string
  readonly input: Joining | Renewing
}

/** The host key that has just signed for this very key and moment, or null where none was shown. Throws for one that did not. */
async function provenHostKey(
  tx: Tx,
  needs: MachineNeeds,
  { purpose, identity, input }: Showing,
): Promise<string | null> {
  const { hostKey, hostSignature, at } = input
  if (hostKey === undefined && hostSignature === undefined) return null
  const line = sshKeyLine(hostKey ?? '')
  const text = attestationText(purpose, identity, input)
  const ageMs = Math.abs(needs.clock.now().getTime() - at.getTime())
  if (line === undefined || hostSignature === undefined || ageMs > SIGNED_SECONDS * 1000) throw refused()
  if (!verifySshSignature(line, HOST_KEY_NAMESPACE, text, hostSignature)) throw refused()
  const once = {
    kind: 'host-key',
    by: line,
    jti: sha256(text).toString('hex'),
    expiresAt: secondsAfter(at, 2 * SIGNED_SECONDS),
  } as const
  if (!(await takeProof(tx, once))) throw refused()
  return line
}

async function pinned(tx: Tx, targetId: string | null): Promise<string[]> {
  if (targetId === null) return []
  const target = await tx
    .selectFrom('target')
    .select(['protocol', 'settings', 'state'])
    .where('id', '=', targetId)
    .executeTakeFirst()
  return target?.state === 'active' ? pinnedOf(target.protocol, target.settings) : []
}

type Given = Parameters<Parameters<typeof giveAttestedToken>[2]['enter']>[0]
type Facts = Pick<Given, 'tokenId' | 'expiresAt' | 'keySha256' | 'isActivated'>

async function admit(
  tx: Tx,
  needs: MachineNeeds,
  terms: {
    readonly identityId: string
    readonly input: Joining | Renewing
    readonly enter: (facts: Facts) => Promise<number>
  },
) {
  const { publicKey } = terms.input
  let keySha256 = ''
  const given = await giveAttestedToken(tx, needs, {
    identityId: terms.identityId,
    publicKey,
    label: LABEL,
    ttlSeconds: ADMITTED_SECONDS,
    enter: ({ tokenId, expiresAt, isActivated, ...facts }) => {
      keySha256 = facts.keySha256
      return terms.enter({ tokenId, expiresAt, keySha256, isActivated })
    },
  })
  if (!given) throw refused()
  const { identity, token, expiresAt, cause, id } = given
  const admission = { identity, token, expiresAt, tokenId: id, publicKey }
  return { admission, cause, keySha256: Buffer.from(keySha256, 'hex') }
}

async function answerOf(
  { certify, trustDomain }: MachineNeeds,
  { identity, token, expiresAt, publicKey }: Awaited<ReturnType<typeof admit>>['admission'],
): Promise<Admission> {
  return {
    identityId: identity.id,
    identity: identity.name,
    trustDomain,
    token: token.reveal(),
    certificate: await certify(publicKey, { identityId: identity.id, expiresAt }),
    expiresAt,
  }
}

function hashOf(hostKey: string | null): string | null {
  return hostKey === null ? null : sha256(hostKey).toString('hex')
}
