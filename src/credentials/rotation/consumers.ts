import { sha256 } from '../../kernel/crypto.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { newId } from '../../kernel/random.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { Claimed } from './claim.ts'
import { consumersSeen } from './events.ts'
import { noteKeepers } from './keepers.ts'
import { actorsFor } from './place.ts'
import type { Sighting } from './rotator.ts'
import type { Strategy, Work } from './strategies/strategy.ts'

/** Somebody who was seen at the target and declared by nobody counts this long: afterwards they are taken for gone. */
const REMEMBERED_SECONDS = 30 * 86_400
/** The name of what nobody declared: of where it comes from and what it calls itself, so that it is the same one next time. */
const NAME_CHARS = 12
const MOST_NAMED = 5

type Consumer = {
  readonly id: string
  readonly name: string
  readonly origin: 'declared' | 'seen' | 'gateway' | 'reference'
  readonly applicationName: string | null
  readonly address: string | null
  readonly ownerTeam: string | null
  readonly seenAt: Date | null
  readonly seenOn: string | null
  readonly referenceId: string | null
  readonly source: string | null
}

type Looked = { readonly onOld: readonly Sighting[]; readonly onNew: readonly Sighting[]; readonly isBusy: boolean }

/** Before the target is told anything: who is there now has to be seen with the new one later. */
export async function noteUsers(work: Work, at: Claimed): Promise<void> {
  await noteKeepers(work, at)
  if (at.accountId === null || !work.rotator.seen) return
  const { onOld, isBusy } = await look(work, at, 2)
  const consumers = await consumersOf(work.db, at.accountId)
  const strangers = onOld.filter((each) => !isPerhapsOurs(each, isBusy) && !consumers.some((one) => isOf(one, each)))
  await noteAll(work, at, { seen: [], strangers })
}

/** Who of those who hold a copy was not seen with the new secret yet, in a sentence; undefined: nobody is left. */
export async function whoIsLeft(work: Work, at: Claimed, strategy: Strategy): Promise<string | undefined> {
  if (at.accountId === null) return undefined
  await noteGateway(work, at)
  if (strategy.copies === 'none') return undefined
  const kept = await noteKeepers(work, at)
  const before = await consumersOf(work.db, at.accountId)
  const isKept = ({ referenceId }: Consumer) => referenceId !== null && kept.has(referenceId)
  const since = secondsAfter(work.needs.clock.now(), -REMEMBERED_SECONDS)
  const wasSeen = ({ origin, seenAt }: Consumer) => origin === 'seen' && seenAt !== null && seenAt >= since
  if (!work.rotator.seen || !strategy.showsWho) {
    const waited = before.filter(
      (each) => each.origin === 'declared' || wasSeen(each) || (isKept(each) && each.seenOn !== at.id),
    )
    return waited.length === 0
      ? undefined
      : `nobody can be seen at this target: withdraw ${namesOf(waited)} once it took the new one`
  }
  const { onOld, onNew, isBusy } = await look(work, at, strategy.coexisting)
  const evident = onNew.filter((each) => !isPerhapsOurs(each, isBusy))
  const matched = evident.map((sighting) => before.filter((one) => isOf(one, sighting)))
  // What could be two is evidence for neither.
  const seen = before.filter((one) => one.seenOn !== at.id && matched.some(([only, other]) => only === one && !other))
  const strangers = onOld.filter((each) => !isPerhapsOurs(each, isBusy) && !before.some((one) => isOf(one, each)))
  await noteAll(work, at, { seen, strangers })
  const left = (await consumersOf(work.db, at.accountId)).filter(
    (one) => one.seenOn !== at.id && (one.origin === 'declared' || isKept(one) || wasSeen(one)),
  )
  if (left.length > 0) return `${namesOf(left)} was not seen with the new secret`
  // With two logins the name of the session's login says by which it came, whatever it calls itself.
  if (strategy.coexisting === 2 && onOld.length > 0 && !at.endsSessions) {
    return `${onOld.length} sessions are open with the old login`
  }
  return undefined
}

function namesOf(consumers: readonly Consumer[]): string {
  const [first = '', ...more] = consumers.slice(0, MOST_NAMED).map(({ name, ownerTeam, source }) => {
    const by = ownerTeam ?? source
    return by === null ? name : `${name} (${by})`
  })
  const rest = consumers.length > MOST_NAMED ? ` and ${consumers.length - MOST_NAMED} more` : ''
  return [first, ...more].join(', ') + rest
}

/** A session from where this node comes from may be a gateway's while somebody uses it, and its client may have given it any name. */
function isPerhapsOurs({ isFromHere, address }: Sighting, isBusy: boolean): boolean {
  return address === undefined || (isFromHere && isBusy)
}

function isOf(consumer: Consumer, sighting: Sighting): boolean {
  if (sighting.address === undefined) return false
  if (consumer.origin === 'gateway' || consumer.origin === 'reference') return false
  if (consumer.origin === 'seen') return consumer.name === strangerOf(sighting)
  const { applicationName, address } = consumer
  return (
    (applicationName === null || applicationName === sighting.application) &&
    (address === null || address === sighting.address) &&
    (applicationName !== null || address !== null)
  )
}

function strangerOf({ application, address }: Sighting): string {
  const hash = sha256(JSON.stringify([application, address])).toString('hex')
  return `seen-${hash.slice(0, NAME_CHARS)}`
}

async function look(work: Work, at: Claimed, coexisting: 1 | 2): Promise<Looked> {
  const { db, needs, rotator, place, signal } = work
  const users = [...new Set([at.principal, at.nextUser])]
  const itself = [
    ...(at.previous ? [{ user: at.principal, secret: at.previous }] : []),
    ...(at.next && at.issuedAt ? [{ user: at.nextUser, secret: at.next }] : []),
  ]
  const actors = [...(await actorsFor(db, needs, at, at.next)), ...itself]
  const all = (await rotator.seen?.(place, actors, users, signal)) ?? []
  const changedMs = at.issuedAt ? needs.clock.now().getTime() - at.issuedAt.getTime() : 0
  // With one secret, who is connected since before the change came by the old one; who came later can only have had the new one.
  const isOld = ({ user, forMs }: Sighting) =>
    coexisting === 2 ? user === at.principal : at.issuedAt === null || forMs >= changedMs
  const open = await db
    .selectFrom('grantUse')
    .innerJoin('accessGrant', 'accessGrant.id', 'grantUse.grantId')
    .select('grantUse.id')
    .where('accessGrant.accountId', '=', at.accountId)
    .where('grantUse.state', 'in', ['reserved', 'live'])
    .limit(1)
    .executeTakeFirst()
  return { onOld: all.filter(isOld), onNew: all.filter((each) => !isOld(each)), isBusy: open !== undefined }
}

async function consumersOf(db: Db, accountId: string): Promise<Consumer[]> {
  return db
    .selectFrom('credentialConsumer')
    .select([
      'id',
      'name',
      'origin',
      'applicationName',
      'address',
      'ownerTeam',
      'seenAt',
      'seenOn',
      'referenceId',
      'source',
    ])
    .where('accountId', '=', accountId)
    .where('withdrawnAt', 'is', null)
    .orderBy('id')
    .execute()
}

type Noted = { readonly seen: readonly Consumer[]; readonly strangers: readonly Sighting[] }

/** One entry for all that was seen: what a session calls itself is in the row and not in the ledger. */
async function noteAll({ db, needs }: Work, at: Claimed, { seen, strangers }: Noted): Promise<void> {
  const { accountId } = at
  if (accountId === null || (seen.length === 0 && strangers.length === 0)) return
  const byName = new Map(strangers.map((each) => [strangerOf(each), each]))
  const now = needs.clock.now()
  await transact(db, async (tx) => {
    const facts = { onNew: seen.map(({ name }) => name), strangers: [...byName.keys()].slice(0, 100) }
    const resource = { type: 'Rotation', id: at.id }
    const cause = await needs.ledger.record(tx, {
      event: consumersSeen,
      actor: SYSTEM,
      resource,
      outcome: 'done',
      facts,
    })
    for (const { id } of seen) {
      await tx
        .updateTable('credentialConsumer')
        .set({ seenAt: now, seenOn: at.id, cause })
        .where('id', '=', id)
        .execute()
    }
    for (const [name, { application, address }] of byName) {
      await keepStranger(tx, needs, {
        accountId,
        name,
        applicationName: application,
        address: address ?? null,
        seenAt: now,
        cause,
      })
    }
  })
}

type Stranger = {
  readonly accountId: string
  readonly name: string
  readonly applicationName: string
  readonly address: string | null
  readonly seenAt: Date
  readonly cause: number
}

async function keepStranger(tx: Tx, needs: Work['needs'], { seenAt, cause, ...row }: Stranger): Promise<void> {
  const standing = await tx
    .updateTable('credentialConsumer')
    .set({ seenAt, cause })
    .where('accountId', '=', row.accountId)
    .where('name', '=', row.name)
    .where('withdrawnAt', 'is', null)
    .executeTakeFirst()
  if (standing.numUpdatedRows > 0n) return
  await tx
    .insertInto('credentialConsumer')
    .values({
      id: newId(needs.clock, needs.random),
      ...row,
      origin: 'seen',
      ownerTeam: null,
      seenAt,
      seenOn: null,
      cause,
    })
    .execute()
}

/** Who came through the gateway holds no copy: they are on the map, and wait for nothing. */
async function noteGateway({ db, needs }: Work, at: Claimed): Promise<void> {
  const { accountId, distributedAt } = at
  if (accountId === null || !distributedAt) return
  const rows = await db
    .selectFrom('grantUse')
    .innerJoin('accessGrant', 'accessGrant.id', 'grantUse.grantId')
    .innerJoin('identity', 'identity.id', 'accessGrant.subjectId')
    .select((each) => ['identity.name', each.fn.max('grantUse.begunAt').as('seenAt')])
    .where('accessGrant.accountId', '=', accountId)
    .where('grantUse.begunAt', 'is not', null)
    .where('grantUse.reservedAt', '>', secondsAfter(distributedAt, -REMEMBERED_SECONDS))
    .groupBy('identity.name')
    .limit(100)
    .execute()
  const known = new Map((await consumersOf(db, accountId)).map((each) => [each.name, each]))
  const fresh = rows.flatMap(({ name, seenAt }) => {
    const label = `${name} through the gateway`
    const standing = known.get(label)
    const seenOn = seenAt && seenAt >= distributedAt ? at.id : (standing?.seenOn ?? null)
    const isNews = !standing || (standing.seenOn !== seenOn && seenOn !== null)
    return isNews ? [{ name: label, id: standing?.id, seenAt, seenOn }] : []
  })
  if (fresh.length === 0) return
  await transact(db, async (tx) => {
    const facts = { onNew: fresh.filter(({ seenOn }) => seenOn === at.id).map(({ name }) => name), strangers: [] }
    const resource = { type: 'Rotation', id: at.id }
    const cause = await needs.ledger.record(tx, {
      event: consumersSeen,
      actor: SYSTEM,
      resource,
      outcome: 'done',
      facts,
    })
    for (const { id, name, seenAt, seenOn } of fresh) {
      if (id === undefined) {
        await tx
          .insertInto('credentialConsumer')
          .values({ id: newId(needs.clock, needs.random), accountId, name, origin: 'gateway', seenAt, seenOn, cause })
          .onConflict((conflict) => conflict.doNothing())
          .execute()
      } else {
        await tx.updateTable('credentialConsumer').set({ seenAt, seenOn, cause }).where('id', '=', id).execute()
      }
    }
  })
}
