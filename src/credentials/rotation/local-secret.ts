import { isIP } from 'node:net'
import { hmacSha256, sha256 } from '../../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { loadAccountById } from '../../catalog/catalog.ts'
import { actOf, findIdentity } from '../../identities/identities.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { IssueLocalSecret, LocalSecret } from './contract.ts'
import { localSecretBound, localSecretIssued, localSecretRevoked } from './events.ts'
import type { RotationNeeds } from './needs.ts'

/** So that scanners know one, and gateways do not take every password for one. */
const PREFIX = 'rvl_'
const BYTES = 32
const COLUMNS = ['id', 'accountId', 'identityId', 'address', 'createdAt', 'revokedAt'] as const

type Needs = Pick<RotationNeeds, 'clock' | 'random' | 'ledger'>

/**
 * A fixed secret for an application that cannot reload. It gives no right: it finds the grant that its workload has on this account at the moment, and
 * is worth something from one address only. The real secret of the account is behind the gateway and changes as it likes.
 */
export async function issueLocalSecret(
  tx: Tx,
  needs: Needs,
  permit: Permit<'local-secret.issue'>,
  { account: accountId, address, reason }: IssueLocalSecret,
): Promise<LocalSecret & { readonly secret: string }> {
  if (isIP(address) === 0) throw invalid('address', 'this is no address')
  const identity = await findIdentity(tx, permit.resource.id)
  if (!(await loadAccountById(tx, accountId))) throw invalid('account', 'there is no such account')
  if (identity.kind === 'human') throw invalid('identity', 'a person proves themselves each time')
  if (identity.state !== 'active') throw invalid('identity', 'this identity is not active')
  const secret = new Secret(PREFIX + needs.random.bytes(BYTES).toString('base64url'))
  const id = newId(needs.clock, needs.random)
  const facts = { accountId, identityId: identity.id, address, reason }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: localSecretIssued, facts })
  const issued = await tx
    .insertInto('localSecret')
    .values({
      id,
      accountId,
      identityId: identity.id,
      sha256: sha256(secret.reveal()),
      address: plain(address),
      createdAt: needs.clock.now(),
      cause,
    })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
  return { ...issued, secret: secret.reveal() }
}

export async function revokeLocalSecret(
  tx: Tx,
  needs: Needs,
  permit: Permit<'local-secret.revoke'>,
  id: string,
  { reason }: { readonly reason: string },
): Promise<LocalSecret> {
  const { id: identityId } = permit.resource
  const rows = tx.selectFrom('localSecret').select(COLUMNS).where('id', '=', id).where('identityId', '=', identityId)
  const seen = await rows.forUpdate().executeTakeFirst()
  if (!seen) throw notFound('There is no such secret.', { type: 'LocalSecret', id })
  if (seen.revokedAt) throw conflict('It is revoked already.', { type: 'LocalSecret', id, state: 'revoked' })
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: localSecretRevoked, facts: { reason } })
  const set = { revokedAt: needs.clock.now(), cause }
  return tx.updateTable('localSecret').set(set).where('id', '=', id).returning(COLUMNS).executeTakeFirstOrThrow()
}

type Shown = {
  readonly secret: Secret
  readonly address: string
  readonly targetName: string
  readonly accountName: string
}

/**
 * The ticket that a fixed secret stands for now: one per grant, made from both, so that it is nowhere kept. Undefined when it stands for none, and the
 * caller goes on with what was shown, which opens nothing then.
 */
export async function ticketOfLocalSecret(db: Db, needs: Needs, shown: Shown): Promise<Secret | undefined> {
  const { secret, address, targetName, accountName } = shown
  if (!secret.reveal().startsWith(PREFIX)) return undefined
  const now = needs.clock.now()
  const grant = await db
    .selectFrom('localSecret')
    .innerJoin('account', 'account.id', 'localSecret.accountId')
    .innerJoin('target', 'target.id', 'account.targetId')
    .innerJoin('accessGrant', (join) =>
      join
        .onRef('accessGrant.accountId', '=', 'localSecret.accountId')
        .onRef('accessGrant.subjectId', '=', 'localSecret.identityId'),
    )
    .innerJoin('accessRequest', 'accessRequest.id', 'accessGrant.requestId')
    .select(['accessGrant.id', 'accessGrant.expiresAt', 'localSecret.id as localSecretId'])
    .where('localSecret.sha256', '=', sha256(secret.reveal()))
    .where('localSecret.revokedAt', 'is', null)
    .where('localSecret.address', '=', plain(address))
    .where('account.name', '=', accountName)
    .where('target.name', '=', targetName)
    .where('accessGrant.endedAt', 'is', null)
    .where('accessGrant.expiresAt', '>', now)
    // A grant that asked for more than a bearer secret is not used by one.
    .where('accessRequest.proof', '=', 'token')
    .orderBy('accessGrant.expiresAt', 'desc')
    .orderBy('accessGrant.id')
    .limit(1)
    .executeTakeFirst()
  if (!grant) return undefined
  const ticket = new Secret(hmacSha256(Buffer.from(secret.reveal()), `grant ${grant.id}`).toString('base64url'))
  await bind(db, needs, { ticket, grant, now })
  return ticket
}

type Binding = {
  readonly ticket: Secret
  readonly grant: { readonly id: string; readonly expiresAt: Date; readonly localSecretId: string }
  readonly now: Date
}

async function bind(db: Db, needs: Needs, { ticket, grant, now }: Binding): Promise<void> {
  const hash = sha256(ticket.reveal())
  const standing = () => db.selectFrom('grantProof').select('id').where('sha256', '=', hash).executeTakeFirst()
  if (await standing()) return
  await transact(db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: localSecretBound,
      actor: SYSTEM,
      resource: { type: 'Grant', id: grant.id },
      grantId: grant.id,
      outcome: 'done',
      facts: { localSecretId: grant.localSecretId },
    })
    await tx
      .insertInto('grantProof')
      .values({
        id: newId(needs.clock, needs.random),
        grantId: grant.id,
        kind: 'ticket',
        sha256: hash,
        isSingleUse: false,
        createdAt: now,
        firstUseBefore: grant.expiresAt,
        firstUsedAt: null,
        firstAddress: null,
        cause,
      })
      .onConflict((row) => row.constraint('proof_is_unique').doNothing())
      .execute()
  })
}

/** An IPv4 address as it is, whichever way the socket spells it. */
function plain(address: string): string {
  return address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '')
}
