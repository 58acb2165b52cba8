/**
 * The second look at grants in use (core 5): what policies see of a target, an account, a purpose or an identity changed, or the policies did,
 * so each node decides the grants of its own sessions again, idle ones too, and ends those that are permitted no more. Nodes that work do the
 * same for grants that nobody uses (unused.ts).
 *
 * The risk moves without any record changing: signals fade, hours pass, another session shows another habit. So all grants in use are also
 * looked at once in every `riskSeconds`, a few each second. One that is permitted no more for its risk alone ends with what rose; one that
 * is permitted with other holds than before is held to those from its next operation on.
 *
 * The trade: a session goes on while it is decided again, a few milliseconds. Grants that cannot be decided for as long as control may be
 * lost (rule 2) end.
 */
import type { Clock } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { every, nextTurn, sleep } from '../kernel/timer.ts'
import { printHold } from '../policy/policy.ts'
import { decideUse, type UseTerms } from './decide-use.ts'
import { endGrant } from './end.ts'
import { CONTROL_LOST_MS } from './ends.ts'
import { factsNow } from './facts-now.ts'
import type { AccessNeeds } from './needs.ts'
import { loadGrant } from './read.ts'
import { riseOf } from './rise.ts'
import { unusedGrants, whyNoMore } from './unused.ts'

export type SecondLook = AsyncDisposable & {
  /** A hint of the ends' channel, `target:<id>` for example. Without one: hints may have been missed, so all of this node's are looked at. */
  heard(hint?: string): void
  /** Taken before a use is decided on. */
  mark(): number
  /** The mark of the last thing heard of this target, or found of this grant: what was decided before it counts no more. */
  heardOf(targetId: string, grantId: string): number
  /** How often hints may have been missed: what was decided before is decided again, and counts until then. */
  missed(): number
  /**
   * A use was decided, to be held to these terms. Looks at the grant again if anything was heard since the mark: its use may have been decided
   * on what was read before.
   */
  used(grantId: string, mark: number, terms: UseTerms): void
}

type Needs = {
  readonly db: Db
  readonly access: AccessNeeds
  readonly nodeId: string
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly log: Log
  /** How often each grant in use is decided again without a hint. */
  readonly riskSeconds?: number
  /** Whether this node also looks at grants that nobody uses. */
  readonly looksAtUnused?: boolean
}

/** `all`: whatever this node has in use. `round`: the next few of that, to see what their risk is. */
type Look = {
  readonly kind: (typeof KINDS)[number] | 'grant' | 'all' | 'round'
  readonly id: string
  readonly sinceMs: number
}

const KINDS = ['target', 'account', 'purpose', 'identity'] as const
/** More that changed than this, and all did: decided again once more than needed, never once less. */
const MOST_KEPT = 10_000
const AGAIN_MS = 100
/** How often it is looked whether other policies decide. Operations of a session do not wait for it: their class table sees that at once. */
const EPOCH_MS = 1_000
/** Minutes are soon enough for what nobody reports: what is reported is looked at when it comes. */
const RISK_SECONDS = 60
const RISK_STEP_MS = 1_000
/** Grants decided in one step, whatever the interval says: then a round takes longer. */
const RISK_STEP_MOST = 100

export function openSecondLook(needs: Needs): SecondLook {
  return new Looking(needs)
}

class Looking implements SecondLook {
  readonly #needs: Needs
  readonly #waiting = new Map<string, Look>()
  /** Grants that nobody uses: looked at one by one, while nothing else waits. */
  readonly #later = new Set<string>()
  readonly #stop = new AbortController()
  readonly #timers: readonly Disposable[]
  readonly #round: Round
  #epoch: string
  #running: Promise<void> | undefined
  #heard = 0
  #heardOfAll = 0
  #missed = 0
  readonly #heardOf = new Map<string, number>()
  /** What waits for a person in the sessions of each grant in use, as it was decided last. */
  readonly #held = new Map<string, string>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#epoch = needs.access.decisions.epoch()
    this.#round = openRound(needs)
    this.#timers = [every(EPOCH_MS, () => this.#checkEpoch()), every(RISK_STEP_MS, () => this.#step())]
  }

  heard(hint?: string): void {
    const [word, id = ''] = hint?.split(':') ?? []
    const kind = hint === undefined ? 'all' : KINDS.find((each) => each === word && id !== '')
    if (kind === undefined) return
    this.#heard += 1
    if (kind === 'target') this.#keep(id)
    if (kind === 'all') this.#missed += 1
    this.#look({ kind, id, sinceMs: this.#needs.clock.monotonicMs() })
  }

  mark(): number {
    return this.#heard
  }

  missed(): number {
    return this.#missed
  }

  heardOf(targetId: string, grantId: string): number {
    const [target, grant] = [this.#heardOf.get(targetId), this.#heardOf.get(grantId)]
    return Math.max(target ?? this.#heardOfAll, grant ?? this.#heardOfAll)
  }

  #keep(id: string): void {
    if (this.#heardOf.size >= MOST_KEPT) {
      this.#heardOfAll = this.#heard
      this.#heardOf.clear()
    }
    this.#heardOf.set(id, this.#heard)
  }

  /** Sessions that were decided under other holds are decided again, before their next operation. */
  #holdTo(grantId: string, { holds }: UseTerms): void {
    const held = [...new Set(holds.map(printHold))].sort().join('; ')
    const before = this.#held.get(grantId)
    if (before === held) return
    if (this.#held.size >= MOST_KEPT) this.#forgetHeld()
    this.#held.set(grantId, held)
    if (before === undefined) return
    this.#heard += 1
    this.#keep(grantId)
  }

  #forgetHeld(): void {
    this.#held.clear()
    this.#heardOf.clear()
    this.#heard += 1
    this.#heardOfAll = this.#heard
  }

  used(grantId: string, mark: number, terms: UseTerms): void {
    this.#holdTo(grantId, terms)
    if (mark !== this.#heard) this.#look({ kind: 'grant', id: grantId, sinceMs: this.#needs.clock.monotonicMs() })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) timer[Symbol.dispose]()
    this.#stop.abort(new Error('this node stops'))
    await this.#running
  }

  #checkEpoch(): void {
    const epoch = this.#needs.access.decisions.epoch()
    if (epoch === this.#epoch) return
    this.#epoch = epoch
    this.heard()
  }

  /** The next few of the round. One that finds the last step still under way leaves it to the next. */
  #step(): void {
    if ((this.#running && this.#later.size === 0) || this.#stop.signal.aborted) return
    this.#look({ kind: 'round', id: '', sinceMs: this.#needs.clock.monotonicMs() })
  }

  #look(look: Look): void {
    const key = `${look.kind}:${look.id}`
    // A look that failed keeps the time since when it is owed.
    if (!this.#waiting.has(key)) this.#waiting.set(key, look)
    if (this.#stop.signal.aborted) return
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      // Heard between the last look and here.
      const [next] = this.#waiting.values()
      if (next) this.#look(next)
    })
  }

  async #run(): Promise<void> {
    await nextTurn()
    while (!this.#stop.signal.aborted) {
      const looks = [...this.#waiting.values()]
      this.#waiting.clear()
      for (const look of looks) await this.#lookAt(look)
      const [unused] = this.#later
      if (this.#waiting.size > 0) await sleep(AGAIN_MS, this.#stop.signal).catch(() => undefined)
      else if (unused === undefined) return
      else await this.#lookAtUnused(unused)
    }
  }

  async #lookAt(look: Look): Promise<void> {
    try {
      const { sinceMs } = look
      if (look.kind === 'grant') await this.#decide(look)
      else {
        const found = look.kind === 'round' ? await this.#round.next() : await grantsInUse(this.#needs, look)
        for (const id of found) await this.#lookAt({ kind: 'grant', id, sinceMs })
        for (const id of await this.#unused(look)) this.#later.add(id)
      }
    } catch (error) {
      this.#needs.log.warn({ err: error, ...look }, 'grants in use could not be decided again; trying again')
      this.#look(look)
    }
  }

  async #unused({ kind, id }: Look): Promise<string[]> {
    if (this.#needs.looksAtUnused !== true || kind === 'round' || kind === 'grant') return []
    return unusedGrants(this.#needs.db, { kind, id })
  }

  /** Nobody gets anything by it meanwhile, since its use would be decided: so there is no hurry, and no end for want of an answer. */
  async #lookAtUnused(grantId: string): Promise<void> {
    const { db, access, log } = this.#needs
    this.#later.delete(grantId)
    try {
      await transact(db, async (tx) => {
        const reasons = await whyNoMore(tx, access, grantId)
        if (reasons.length > 0) await endGrant(tx, access, { grantId, reason: 'policy-changed', reasons })
      })
    } catch (error) {
      log.warn({ err: error, grant: grantId }, 'a grant that nobody uses could not be decided again; trying again')
      this.#later.add(grantId)
      await sleep(AGAIN_MS, this.#stop.signal).catch(() => undefined)
    }
  }

  async #decide({ id, sinceMs }: Look): Promise<void> {
    const { db, access, clock, log } = this.#needs
    const isOverdue = clock.monotonicMs() - sinceMs >= CONTROL_LOST_MS
    const against = await transact(db, (tx) => whatIsAgainst(tx, access, id)).catch((error: unknown): Against => {
      if (!isOverdue) throw error
      log.error({ err: error, grant: id }, 'a grant in use cannot be decided again, so it ends')
      return { reasons: ['It could not be decided again.'] }
    })
    const { reasons, rise, terms } = against
    if (terms) this.#holdTo(id, terms)
    if (reasons.length === 0) return
    const why =
      rise === undefined ? { reason: 'policy-changed' as const } : { reason: 'risk-rose' as const, comment: rise }
    await transact(db, (tx) => endGrant(tx, access, { grantId: id, ...why, reasons }))
  }
}

type Round = { next(): Promise<string[]> }

/** Goes round the grants that this node has in use, so many at a time that a round takes as long as it shall. */
function openRound(needs: Needs): Round {
  const roundMs = (needs.riskSeconds ?? RISK_SECONDS) * 1_000
  const steps = Math.max(1, Math.floor(roundMs / RISK_STEP_MS))
  let after: string | undefined
  let most = 0
  let beganMs = Number.NEGATIVE_INFINITY
  return {
    async next() {
      if (after === undefined) {
        const nowMs = needs.clock.monotonicMs()
        if (nowMs - beganMs < roundMs) return []
        beganMs = nowMs
        const inUse = (await grantsInUse(needs, { kind: 'all', id: '' })).length
        most = Math.min(RISK_STEP_MOST, Math.max(1, Math.ceil(inUse / steps)))
      }
      const found = await grantsInUse(needs, { kind: 'all', id: '' }, { after, most })
      after = found.length < most ? undefined : found.at(-1)
      return found
    },
  }
}

async function grantsInUse(
  { db, nodeId }: Needs,
  { kind, id }: Pick<Look, 'kind' | 'id'>,
  part?: { readonly after: string | undefined; readonly most: number },
): Promise<string[]> {
  let rows = db
    .selectFrom('grantUse as u')
    .innerJoin('accessGrant as g', 'g.id', 'u.grantId')
    .select('g.id')
    .distinct()
    .where('u.nodeId', '=', nodeId)
    .where('u.state', 'in', ['reserved', 'live'])
    .where('g.endedAt', 'is', null)
    .orderBy('g.id')
  if (part) rows = rows.limit(part.most)
  if (part?.after !== undefined) rows = rows.where('g.id', '>', part.after)
  if (kind === 'target') rows = rows.where('g.targetId', '=', id)
  if (kind === 'account') rows = rows.where('g.accountId', '=', id)
  if (kind === 'purpose') rows = rows.where('g.purposeId', '=', id)
  if (kind === 'identity')
    rows = rows.where((row) => row.or([row('g.subjectId', '=', id), row('g.onBehalfOfId', '=', id)]))
  return (await rows.execute()).map((row) => row.id)
}

type Against = {
  /** Why it is permitted no more, for any proof it is used with; empty when it is, is over, or nobody uses it. */
  readonly reasons: readonly string[]
  /** Where that is for its risk alone: what rose. */
  readonly rise?: string | undefined
  /** Where it is permitted: what its sessions are held to now. */
  readonly terms?: UseTerms | undefined
}

async function whatIsAgainst(tx: Tx, needs: AccessNeeds, grantId: string): Promise<Against> {
  const proofs = await tx
    .selectFrom('grantUse as u')
    .innerJoin('grantProof as p', 'p.id', 'u.proofId')
    .select(['p.kind', 'p.id'])
    .distinctOn('p.kind')
    .where('u.grantId', '=', grantId)
    .where('u.state', 'in', ['reserved', 'live'])
    .orderBy('p.kind')
    .execute()
  const grant = await loadGrant(tx, grantId)
  if (!grant || grant.endedAt || grant.expiresAt <= needs.clock.now()) return { reasons: [] }
  // The use that was taken last is decided on as it was then: it did not count yet.
  const before = { ...grant, uses: Math.max(0, grant.uses - 1) }
  let terms: UseTerms | undefined
  for (const { kind, id } of proofs) {
    const facts = await factsNow(tx, { grant: before, proofId: id, proofKind: kind })
    const decided = await decideUse(tx, needs, facts)
    const { reasons, risk } = decided
    if (reasons.length > 0) return { reasons, rise: await riseOf(tx, needs, facts, risk) }
    terms = terms && decided.terms ? { ...terms, holds: [...terms.holds, ...decided.terms.holds] } : decided.terms
  }
  return { reasons: [], terms }
}
