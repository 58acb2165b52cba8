import type { z } from 'zod'
import { actOf, endTokens, findIdentity } from '../../identities/identities.ts'
import { findTarget } from '../../catalog/catalog.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { sha256 } from '../../kernel/crypto.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import { idAfter, pageAfter, type Page } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { sshKeyLine } from '../../kernel/ssh-signature.ts'
import { SSH } from '../ssh/actions.ts'
import { SshSettings } from '../ssh/settings.ts'
import type { inviteMachine, Machine } from './contract.ts'
import { machineEvicted, machineInvited } from './events.ts'
import type { PlainMachineNeeds } from './needs.ts'

const SECRET_BYTES = 32
const PREFIX = 'reeve_join_'

/** Of a join token only this is kept: it has 256 bits, so nobody guesses it. */
export function joinSha256(token: string): Buffer {
  return sha256(token)
}

/** Lets a machine join; an invitation that was open ends. The token leaves only here. */
export async function invite(
  tx: Tx,
  needs: PlainMachineNeeds,
  permit: Permit<'machine.invite'>,
  input: z.output<typeof inviteMachine.input>,
): Promise<z.output<typeof inviteMachine.output>> {
  const identity = await findIdentity(tx, permit.resource.id)
  if (identity.kind !== 'machine') throw invalid('identity', 'machines run an agent; this identity is none')
  if (identity.state !== 'registered' && identity.state !== 'active') {
    throw conflict(`The identity is ${identity.state}.`, { type: 'Identity', id: identity.id, state: identity.state })
  }
  const now = needs.clock.now()
  const target = input.target === undefined ? undefined : await findTarget(tx, input.target)
  const hostKeys = target ? pinnedOf(target.protocol, target.settings) : []
  if (target && hostKeys.length === 0) throw invalid('target', 'no SSH host key that can be checked is pinned there')
  const id = newId(needs.clock, needs.random)
  const method = target ? ('host-key' as const) : ('token' as const)
  const secret = target ? null : PREFIX + needs.random.bytes(SECRET_BYTES).toString('base64url')
  const expiresAt = target ? null : secondsAfter(now, input.ttlSeconds)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: machineInvited,
    facts: { invitationId: id, method, targetId: target?.id ?? null, expiresAt },
  })
  await endInvitations(tx, identity.id, { now, cause })
  await tx
    .insertInto('machineInvitation')
    .values({
      id,
      identityId: identity.id,
      method,
      secretSha256: secret === null ? null : joinSha256(secret),
      targetId: target?.id ?? null,
      createdAt: now,
      expiresAt,
      endedAt: null,
      cause,
    })
    .execute()
  return { id, identityId: identity.id, method, hostKeys, expiresAt, secret }
}

/** The host keys that a target pins, as we compare them. */
export function pinnedOf(protocol: string, settings: unknown): string[] {
  const read = protocol === SSH ? SshSettings.safeParse(settings) : undefined
  return (read?.data?.hostKeys ?? []).flatMap((line) => sshKeyLine(line) ?? [])
}

async function endInvitations(tx: Tx, identityId: string, end: End): Promise<string[]> {
  const rows = await tx
    .updateTable('machineInvitation')
    .set({ endedAt: end.now, cause: end.cause })
    .where('identityId', '=', identityId)
    .where('endedAt', 'is', null)
    .returning('id')
    .execute()
  return rows.map((row) => row.id)
}

type End = { readonly now: Date; readonly cause: number }

/** Ends the admission that a machine has, with its tokens. */
export async function endAttestation(tx: Tx, identityId: string, reason: string, end: End): Promise<string[]> {
  const rows = await tx
    .updateTable('machineAttestation')
    .set({ endedAt: end.now, endReason: reason, cause: end.cause })
    .where('identityId', '=', identityId)
    .where('endedAt', 'is', null)
    .returning(['id', 'tokenId', 'previousTokenId'])
    .execute()
  const tokens = rows.flatMap((row) => [row.tokenId, ...(row.previousTokenId === null ? [] : [row.previousTokenId])])
  await endTokens(tx, tokens, end)
  return rows.map((row) => row.id)
}

/** Nothing of the machine counts from the commit on, and no host key lets it in again. */
export async function evict(
  tx: Tx,
  needs: PlainMachineNeeds,
  permit: Permit<'machine.evict'>,
  { reason }: { readonly reason: string },
): Promise<{ ended: number }> {
  const identityId = permit.resource.id
  const open = (table: 'machineAttestation' | 'machineInvitation') =>
    tx
      .selectFrom(table)
      .select('id')
      .where('identityId', '=', identityId)
      .where('endedAt', 'is', null)
      .orderBy('id')
      .forUpdate()
      .execute()
  // In the order in which a machine joins: who joins in this moment is waited for, and ended then.
  const invitations = await open('machineInvitation')
  const attestations = await open('machineAttestation')
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: machineEvicted,
    facts: {
      attestationIds: attestations.map((row) => row.id),
      invitationIds: invitations.map((row) => row.id),
      reason,
    },
  })
  const end = { now: needs.clock.now(), cause }
  const ended = [...(await endInvitations(tx, identityId, end)), ...(await endAttestation(tx, identityId, reason, end))]
  return { ended: ended.length }
}

export async function pageOfMachines(
  db: Db,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<Machine>> {
  const after = idAfter(query.cursor)
  let rows = db
    .selectFrom('machineAttestation')
    .innerJoin('identity', 'identity.id', 'machineAttestation.identityId')
    .select([
      'machineAttestation.id',
      'machineAttestation.identityId',
      'identity.name as identity',
      'machineAttestation.method',
      'machineAttestation.hostKey',
      'machineAttestation.bootId',
      'machineAttestation.joinedAt',
      'machineAttestation.renewedAt',
      'machineAttestation.expiresAt',
      'machineAttestation.endedAt',
      'machineAttestation.endReason',
    ])
  if (after !== undefined) rows = rows.where('machineAttestation.id', '>', after)
  const found = await rows
    .orderBy('machineAttestation.id')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, (machine) => machine.id)
}
