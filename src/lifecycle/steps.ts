import { sql } from 'kysely'
import { endIdentity, endTokens, stopIdentity, type IdentityAct } from '../identities/identities.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { Problem } from '../kernel/problem.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { changeCase, holdCaseRow, lockCase, moveCase, reopen, type CaseRow } from './cases.ts'
import type { Dependencies } from './contract.ts'
import { caseClosed } from './events.ts'
import { collectObjects, settleItems } from './items.ts'
import type { LifecycleNeeds } from './needs.ts'
import { dependenciesOf, obligationsOf } from './obligations.ts'

const DAY_SECONDS = 86_400
/** One sweep takes at most this many; the next one goes on. */
const SWEEP_LIMIT = 50

const ACT: IdentityAct = { actor: SYSTEM, outcome: 'done' }

/**
 * Carries every case one step on that is due and waits for nobody. Each step is one transaction on the row as it was seen: a process that dies
 * between two leaves the case where it was, and two workers never take the same step. Returns how many moved.
 */
export async function advanceCases(db: Db, needs: LifecycleNeeds & { readonly log: Log }): Promise<number> {
  let moved = 0
  for (const id of await dueCases(db, needs)) {
    try {
      if (await transact(db, (tx) => step(tx, needs, id))) moved += 1
    } catch (error) {
      // One that cannot go on keeps no other from it.
      needs.log.warn({ err: error, case: id }, 'a case could not be carried on and is tried again')
    }
  }
  return moved
}

/** Those that wait for proof are looked at in any order, so that none of them keeps the others from being looked at. */
async function dueCases(db: Db, needs: LifecycleNeeds): Promise<string[]> {
  const open = db
    .selectFrom('lifecycleCase')
    .select('id')
    .where('overAt', 'is', null)
    .where('heldBecause', 'is', null)
    .where('nextLookAt', '<=', needs.clock.now())
    .limit(SWEEP_LIMIT)
  const going = await open.where('state', '<>', 'retired').orderBy('nextLookAt').orderBy('id').execute()
  const proving = await open
    .where('state', '=', 'retired')
    .orderBy(sql`random()`)
    .execute()
  return [...going, ...proving].map(({ id }) => id)
}

/** Whether the case moved. */
async function step(tx: Tx, needs: LifecycleNeeds, id: string): Promise<boolean> {
  const row = await lockCase(tx, id)
  if (row.overAt !== null || row.heldBecause !== null) return false
  if (row.nextLookAt !== null && row.nextLookAt > needs.clock.now()) return false
  // Somebody let it act again: what was decided about it is no longer so.
  if (row.state !== 'opened' && row.identity.state === 'active') {
    await reopen(tx, needs, ACT, { row, reason: 'somebody let the identity act again' })
    return true
  }
  switch (row.state) {
    case 'opened':
      return suspend(tx, needs, row)
    case 'suspended':
      return check(tx, needs, row)
    case 'checked':
      return soak(tx, needs, row)
    case 'soaking':
      return retire(tx, needs, row)
    case 'retired':
      return prove(tx, needs, row)
    case 'closed':
    case 'reopened':
    default:
      throw new Error(`an open case is ${row.state}`)
  }
}

async function suspend(tx: Tx, needs: LifecycleNeeds, row: CaseRow): Promise<boolean> {
  if (row.identity.state === 'active') {
    try {
      await stopIdentity(tx, needs, ACT, { seen: row.identity, reason: row.detail })
    } catch (error) {
      // The last person who can act: refused before anything was written.
      if (!(error instanceof Problem)) throw error
      await holdCaseRow(tx, needs, ACT, { row, because: error.message })
      return true
    }
  }
  await moveCase(tx, needs, ACT, { row, to: 'suspended', change: { suspendedAt: needs.clock.now() } })
  return true
}

/** What still hangs on it is for a person to look at: its accounts stand elsewhere, and others may work through them. */
async function check(tx: Tx, needs: LifecycleNeeds, row: CaseRow): Promise<boolean> {
  const now = needs.clock.now()
  const dependencies = await dependenciesOf(tx, needs, row.identityId)
  const hanging = [
    ...dependencies.owns.map((name) => `owns ${name}`),
    ...dependencies.sponsors.map((name) => `sponsors ${name}`),
    ...(row.identity.kind === 'human'
      ? []
      : dependencies.accounts.map((name) => `claims ${name}${saidOf(dependencies, name)}`)),
  ]
  const heldBecause = hanging.length === 0 ? null : `in use: it ${hanging.slice(0, 8).join(', ')}`.slice(0, 500)
  const change = { checkedAt: now, dependencies, heldBecause }
  const cause = await moveCase(tx, needs, ACT, { row, to: 'checked', change })
  const { identityId, identity } = row
  await collectObjects(tx, needs, { caseId: row.id, since: row.openedAt, cause, identityId, vendor: identity.vendor })
  return true
}

/** Whether an account is used, for the sentence by which a person decides. */
function saidOf({ uses }: Dependencies, account: string): string {
  const use = uses.find((each) => each.account === account)
  if (!use) return ''
  const known = use.consumers.length + use.more
  const users = known === 0 ? '' : `, by ${known} known`
  if (use.is === 'cannot-be-said') return ` (whether it is used cannot be said${users})`
  return use.is === 'used' ? ` (used${users})` : ` (provably unused${known === 0 ? '' : `, and kept by ${known}`})`
}

async function soak(tx: Tx, needs: LifecycleNeeds, row: CaseRow): Promise<boolean> {
  const soakEndsAt = secondsAfter(needs.clock.now(), row.soakDays * DAY_SECONDS)
  await moveCase(tx, needs, ACT, { row, to: 'soaking', change: { soakEndsAt, nextLookAt: soakEndsAt } })
  return true
}

async function retire(tx: Tx, needs: LifecycleNeeds, row: CaseRow): Promise<boolean> {
  const now = needs.clock.now()
  if (row.soakEndsAt === null || row.soakEndsAt > now) return false
  if (row.identity.state !== 'retired') {
    await endIdentity(tx, needs, ACT, { seen: row.identity, reason: row.detail })
  }
  const cause = await moveCase(tx, needs, ACT, { row, to: 'retired', change: { retiredAt: now } })
  const tokens = await tx
    .selectFrom('apiToken')
    .select('id')
    .where('revokedAt', 'is', null)
    .where((is) => is.or([is('identityId', '=', row.identityId), is('onBehalfOfId', '=', row.identityId)]))
    .execute()
  if (tokens.length > 0)
    await endTokens(
      tx,
      tokens.map((each) => each.id),
      { now, cause },
    )
  return true
}

/** Closes only when everything it held is known to be dead; until then it is looked at again and again. */
async function prove(tx: Tx, needs: LifecycleNeeds, row: CaseRow): Promise<boolean> {
  await settleItems(tx, needs, row.id)
  const now = needs.clock.now()
  const obligations = await obligationsOf(tx, { caseId: row.id, identityId: row.identityId, now })
  if (obligations.some(({ isDead }) => !isDead)) return false
  const cause = await needs.ledger.record(tx, {
    ...ACT,
    event: caseClosed,
    resource: { type: 'Case', id: row.id },
    subjectId: row.identityId,
    facts: { identityId: row.identityId, proofs: obligations.length },
  })
  const evidence = { lookedAt: now, obligations }
  await changeCase(tx, row, cause, { state: 'closed', overAt: now, nextLookAt: null, evidence })
  return true
}
