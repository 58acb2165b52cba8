import { secondsAfter } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import { newId } from '../../kernel/random.ts'
import { translating } from '../../kernel/violation.ts'
import type { Fact } from '../../ledger/ledger.ts'
import { notRotatable, rotationOpen, type Rotation } from './contract.ts'
import { rotationPlanned } from './events.ts'
import { keptLogin, sealNext, type KeptLogin, type LoginRef } from './login.ts'
import { unheardKeepers } from './keepers.ts'
import type { RotationNeeds } from './needs.ts'
import type { LoginRotator } from './rotator.ts'
import { strategyOf, strategyOfProvisioner } from './strategies/index.ts'
import type { Strategy } from './strategies/strategy.ts'
import { wayOf, type Way } from './way.ts'

const DAY_SECONDS = 86_400
const MOST_NAMED = 5

type Rotatable = LoginRef &
  KeptLogin & {
    readonly rotator: LoginRotator
    readonly way: Way
    readonly strategy: Strategy
    readonly accountName: string | null
  }
type By = Pick<Fact, 'actor' | 'onBehalfOf' | 'action' | 'decision'> & {
  readonly startedById: string | null
  readonly occasion: Rotation['occasion']
  readonly campaignId?: string
  readonly endsSessions: boolean
  readonly reason: string | null
}

/** Intent before act: the new secret is sealed beside the old one before anybody hears of it. */
export async function planRotation(tx: Tx, needs: RotationNeeds, login: Rotatable, by: By): Promise<string> {
  const { targetId, accountId, user: principal, rotator, way, strategy, accountName } = login
  const { startedById, occasion, campaignId = null, endsSessions, reason, ...act } = by
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const isScheduled = startedById === null
  const cause = await needs.ledger.record(tx, {
    ...act,
    event: rotationPlanned,
    resource: { type: 'Rotation', id },
    outcome: 'announced',
    facts: { targetId, accountId, principal, endsSessions, isScheduled, strategy: strategy.name, occasion, reason },
  })
  const open = (error: unknown) =>
    rotationOpen('A rotation of this login is under way; one follows another.', { targetId }, { cause: error })
  await translating({ account_has_one_open_rotation: open, provisioner_has_one_open_rotation: open }, () =>
    tx
      .insertInto('rotation')
      .values({
        id,
        targetId,
        accountId,
        principal,
        nextPrincipal: strategy.nextUser?.(way, accountName ?? principal, principal) ?? null,
        strategy: strategy.name,
        occasion,
        campaignId,
        state: 'planned',
        stateAt: now,
        startedById,
        endsSessions,
        // What others know is not kept alive to see who misses it.
        soakSeconds: occasion === 'leak' ? 0 : way.soakSeconds,
        deadlineAt: way.deadlineDays === null ? null : secondsAfter(now, way.deadlineDays * DAY_SECONDS),
        wasSha256: login.sha256,
        sealedNext: strategy.maker === 'reeve' ? sealNext(needs, id, rotator.make(needs.random)) : null,
        plannedAt: now,
        nextTryAt: now,
        cause,
      })
      .execute(),
  )
  return id
}

export async function lockRotatable(tx: Tx, needs: RotationNeeds, ref: LoginRef): Promise<Rotatable> {
  const found = await rotatable(tx, needs, ref)
  if ('why' in found) throw notRotatable(found.why, { targetId: ref.targetId })
  return found
}

/** The login, locked; or why it is none that can be rotated. */
export async function rotatable(
  tx: Tx,
  needs: RotationNeeds,
  { targetId, accountId }: LoginRef,
): Promise<Rotatable | { readonly why: string }> {
  const target = await tx
    .selectFrom('target')
    .select(['protocol', 'state'])
    .where('id', '=', targetId)
    .executeTakeFirstOrThrow()
  if (target.state !== 'active') return { why: 'The target is retired, so nothing of it gets a new secret.' }
  let accountName: string | null = null
  if (accountId !== null) {
    const account = await tx
      .selectFrom('account')
      .select(['name', 'mode', 'state'])
      .where('id', '=', accountId)
      .executeTakeFirstOrThrow()
    if (account.state !== 'active') return { why: 'The account is retired, so it gets no new secret.' }
    if (account.mode !== 'static') return { why: 'Reeve keeps no secret of this account: only static ones have any.' }
    accountName = account.name
  }
  const kept = await keptLogin(tx, needs, { targetId, accountId }, 'lock')
  if (!kept) return { why: 'Reeve keeps no login to rotate here.' }
  const rotator = needs.rotators.find((each) => each.protocol === target.protocol)
  if (!rotator) return { why: `Logins of ${target.protocol} targets are rotated by nothing in this release.` }
  const way = await wayOf(tx, needs, accountId)
  const strategy = accountId === null ? strategyOfProvisioner(rotator) : strategyOf(way.strategy)
  if (!strategy) return { why: `This release does not rotate by ${way.strategy}.` }
  const impossible = strategy.impossibleAt?.(rotator)
  if (impossible !== undefined) return { why: impossible }
  if (strategy.copies === 'none') {
    const holders = accountId === null ? [] : await holdersOf(tx, needs, { accountId, user: kept.user })
    if (holders.length > 0) {
      return {
        why: `${holders.join(', ')} holds a copy of the secret and would be cut off: choose a way that waits for it (rotation.configure).`,
      }
    }
  }
  return { targetId, accountId, ...kept, rotator, way, strategy, accountName }
}

/** Who holds a copy: who said so, and places that sources tell of. */
async function holdersOf(
  tx: Tx,
  needs: RotationNeeds,
  login: { readonly accountId: string; readonly user: string },
): Promise<string[]> {
  const rows = await tx
    .selectFrom('credentialConsumer')
    .select('name')
    .where('accountId', '=', login.accountId)
    .where('origin', '=', 'declared')
    .where('withdrawnAt', 'is', null)
    .orderBy('name')
    .limit(MOST_NAMED)
    .execute()
  return [...rows.map(({ name }) => name), ...(await unheardKeepers(tx, needs, login))].slice(0, MOST_NAMED)
}

export async function hasOpenRotation(tx: Tx, { targetId, accountId }: LoginRef): Promise<boolean> {
  const rows = tx.selectFrom('rotation').select('id').where('targetId', '=', targetId).where('overAt', 'is', null)
  const open = await rows.where('accountId', accountId === null ? 'is' : '=', accountId).executeTakeFirst()
  return open !== undefined
}
