import { sql } from 'kysely'
import { endTokens, isAccountedFor, loadIdentity } from '../../identities/identities.ts'
import { canonicalJson } from '../../kernel/canonical-json.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Caller } from '../../kernel/http/route.ts'
import { sleep } from '../../kernel/timer.ts'
import { bundleText } from '../spiffe/bundle.ts'
import { federatedBundles } from '../spiffe/federation.ts'
import { spiffeIdOf } from '../spiffe/id.ts'
import { machineRefused, type MachineState } from './contract.ts'
import { machineSettled } from './events.ts'
import type { MachineNeeds } from './needs.ts'

/** How soon an agent hears of a change. */
const LOOK_MS = 500
/** What time alone changes, such as the expiry of an identity, is looked at this often. */
const WHOLE_LOOK_MS = 5_000

/** Tells the agents of machines what they serve, and when it is something else. */
export class Following {
  readonly #db: Db
  readonly #needs: MachineNeeds
  /** One question at a time for all who wait. */
  #looking: { readonly atMs: number; readonly newest: Promise<number> } | undefined

  constructor(needs: MachineNeeds) {
    this.#db = needs.db
    this.#needs = needs
  }

  /** The state, as soon as it is another than `version` or the wait is over. Throws `machineRefused` for who is not admitted (any more). */
  async state(
    caller: Pick<Caller, 'id' | 'proofId'>,
    asked: { readonly version?: string | undefined; readonly wait: number },
    signal: AbortSignal,
  ): Promise<MachineState> {
    const { clock } = this.#needs
    const untilMs = clock.monotonicMs() + asked.wait * 1000
    for (;;) {
      const newest = await this.#newest()
      await settle(this.#needs, caller)
      const state = await stateOf(this.#needs, caller.id)
      if (state.version !== asked.version || clock.monotonicMs() >= untilMs) return state
      const wholeMs = Math.min(untilMs, clock.monotonicMs() + WHOLE_LOOK_MS)
      while (clock.monotonicMs() < wholeMs && (await this.#newest()) === newest) await sleep(LOOK_MS, signal)
      signal.throwIfAborted()
    }
  }

  /** The last entry that changed anything that an agent is told. */
  #newest(): Promise<number> {
    const nowMs = this.#needs.clock.monotonicMs()
    if (this.#looking && nowMs - this.#looking.atMs < LOOK_MS / 2) return this.#looking.newest
    const newest = sql<{ newest: number | null }>`
      select greatest(
        (select max(cause) from identity),
        (select max(cause) from placement),
        (select max(cause) from machine_attestation),
        (select max(cause) from spiffe_authority),
        (select max(cause) from foreign_domain)
      ) as newest`
      .execute(this.#db)
      .then(({ rows }) => rows[0]?.newest ?? 0)
    this.#looking = { atMs: nowMs, newest }
    return newest
  }
}

/** Who calls is admitted now, by the token it has for that. Throws `machineRefused`. */
export async function mustBeAdmitted(db: Db, { id, proofId }: Pick<Caller, 'id' | 'proofId'>): Promise<void> {
  const identity = await loadIdentity(db, id)
  if (identity?.state !== 'active' || !isAccountedFor(identity) || !(await attestationOf(db, id, proofId))) {
    throw machineRefused('This machine is not admitted, or not any more.', {})
  }
}

function attestationOf(db: Db, identityId: string, tokenId: string) {
  return db
    .selectFrom('machineAttestation')
    .select(['id', 'tokenId', 'previousTokenId'])
    .where('identityId', '=', identityId)
    .where('endedAt', 'is', null)
    .where((is) => is.or([is('tokenId', '=', tokenId), is('previousTokenId', '=', tokenId)]))
    .executeTakeFirst()
}

/** An agent that speaks with its new token needs the one before no more. */
async function settle(needs: MachineNeeds, caller: Pick<Caller, 'id' | 'proofId'>): Promise<void> {
  await mustBeAdmitted(needs.db, caller)
  const seen = await attestationOf(needs.db, caller.id, caller.proofId)
  if (seen?.tokenId !== caller.proofId || seen.previousTokenId === null) return
  await transact(needs.db, (tx) => forget(tx, needs, caller))
}

async function forget(tx: Tx, needs: MachineNeeds, { id, proofId }: Pick<Caller, 'id' | 'proofId'>): Promise<void> {
  const seen = await tx
    .selectFrom('machineAttestation')
    .select(['id', 'previousTokenId'])
    .where('identityId', '=', id)
    .where('tokenId', '=', proofId)
    .where('endedAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!seen?.previousTokenId) return
  const cause = await needs.ledger.record(tx, {
    event: machineSettled,
    actor: { id, kind: 'machine' },
    resource: { type: 'Identity', id },
    outcome: 'done',
    subjectId: id,
    facts: { endedTokenId: seen.previousTokenId },
  })
  await tx.updateTable('machineAttestation').set({ previousTokenId: null, cause }).where('id', '=', seen.id).execute()
  await endTokens(tx, [seen.previousTokenId], { now: needs.clock.now(), cause })
}

/** What is served on a machine now: placements of identities that may be vouched for. */
async function stateOf(needs: MachineNeeds, machineId: string): Promise<MachineState> {
  const { db, trustDomain } = needs
  const rows = await db
    .selectFrom('placement')
    .innerJoin('identity', 'identity.id', 'placement.identityId')
    .select([
      'placement.id',
      'placement.selectors',
      'placement.hint',
      'identity.kind',
      'identity.name',
      'identity.state',
      'identity.ownerState',
      'identity.expiresAt',
    ])
    .where('placement.machineId', '=', machineId)
    .where('placement.endedAt', 'is', null)
    .orderBy('placement.id')
    .execute()
  const now = needs.clock.now()
  const placements = rows
    .filter((row) => row.state === 'active' && isAccountedFor(row) && (row.expiresAt === null || row.expiresAt > now))
    .map((row) => ({ id: row.id, spiffeId: spiffeIdOf(trustDomain, row), selectors: row.selectors, hint: row.hint }))
  const state = {
    trustDomain,
    bundle: await bundleText(db, needs),
    federated: await federatedBundles(db),
    placements,
  }
  return { ...state, version: sha256(canonicalJson(state)).toString('hex') }
}

/** The placement that a machine names, if it is on it and goes on. */
export async function placedOn(db: Db, machineId: string, placementId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('placement')
    .select('identityId')
    .where('id', '=', placementId)
    .where('machineId', '=', machineId)
    .where('endedAt', 'is', null)
    .executeTakeFirst()
  return row?.identityId
}
