import { sql } from 'kysely'
import type { z } from 'zod'
import { actOf, findIdentity } from '../../identities/identities.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import { idAfter, pageAfter, type Page } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import type { createPlacement, Placement } from './contract.ts'
import { placementCreated, placementEnded } from './events.ts'
import type { PlainMachineNeeds } from './needs.ts'

/** More on one machine are told it in no time. */
const MOST_ON_A_MACHINE = 5_000

/** Lets the agent of a machine vouch for the permit's identity. */
export async function place(
  tx: Tx,
  needs: PlainMachineNeeds,
  permit: Permit<'placement.create'>,
  input: z.output<typeof createPlacement.input>,
): Promise<Placement> {
  const identity = await findIdentity(tx, permit.resource.id)
  if (identity.kind === 'human') throw invalid('identity', 'people are not placed on machines')
  if (identity.state === 'retired') {
    throw conflict('The identity is retired.', { type: 'Identity', id: identity.id, state: identity.state })
  }
  const machine = await findIdentity(tx, input.machine)
  if (machine.kind !== 'machine' || machine.state === 'retired') throw invalid('machine', 'this is no machine in use')
  // What a machine vouches for is as safe as the machine is.
  if (machine.tier > identity.tier) {
    throw invalid(
      'machine',
      `its tier is ${machine.tier}, and that of the workload ${identity.tier}: place it on one as strict`,
    )
  }
  await sql`select pg_advisory_xact_lock(hashtext(${`placement:${machine.id}`}))`.execute(tx)
  const { count } = await tx
    .selectFrom('placement')
    .select((is) => is.fn.countAll<number>().as('count'))
    .where('machineId', '=', machine.id)
    .where('endedAt', 'is', null)
    .executeTakeFirstOrThrow()
  if (count >= MOST_ON_A_MACHINE) throw invalid('machine', `it has ${MOST_ON_A_MACHINE} workloads already`)
  const id = newId(needs.clock, needs.random)
  const selectors = [...new Set(input.selectors)].toSorted()
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: placementCreated,
    facts: { placementId: id, machineId: machine.id, selectors },
  })
  await tx
    .insertInto('placement')
    .values({
      id,
      machineId: machine.id,
      identityId: identity.id,
      selectors,
      hint: input.hint ?? null,
      createdBy: permit.subject.id,
      createdAt: needs.clock.now(),
      endedAt: null,
      cause,
    })
    .execute()
  return findPlacement(tx, id)
}

export async function endThePlacement(
  tx: Tx,
  needs: PlainMachineNeeds,
  permit: Permit<'placement.end'>,
  { id, reason }: { readonly id: string; readonly reason: string },
): Promise<Placement> {
  const seen = await findPlacement(tx, id)
  if (seen.identityId !== permit.resource.id) throw new Error('the permit is for another identity')
  const { machineId } = seen
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: placementEnded,
    facts: { placementId: id, machineId, reason },
  })
  const ended = await tx
    .updateTable('placement')
    .set({ endedAt: needs.clock.now(), cause })
    .where('id', '=', id)
    .where('endedAt', 'is', null)
    .executeTakeFirst()
  if (ended.numUpdatedRows !== 1n)
    throw conflict('The placement ended already.', { type: 'Placement', id, state: 'ended' })
  return findPlacement(tx, id)
}

function placements(db: Db) {
  return db
    .selectFrom('placement')
    .innerJoin('identity as machine', 'machine.id', 'placement.machineId')
    .innerJoin('identity', 'identity.id', 'placement.identityId')
    .select([
      'placement.id',
      'placement.machineId',
      'machine.name as machine',
      'placement.identityId',
      'identity.name as identity',
      'placement.selectors',
      'placement.hint',
      'placement.createdAt',
      'placement.endedAt',
    ])
}

/** Throws `notFound`. */
export async function findPlacement(db: Db, id: string): Promise<Placement> {
  const found = await placements(db).where('placement.id', '=', id).executeTakeFirst()
  if (!found) throw notFound('There is no such placement.', { type: 'Placement', id })
  return found
}

export async function pageOfPlacements(
  db: Db,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<Placement>> {
  const after = idAfter(query.cursor)
  let rows = placements(db)
  if (after !== undefined) rows = rows.where('placement.id', '>', after)
  const found = await rows
    .orderBy('placement.id')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, (placement) => placement.id)
}
