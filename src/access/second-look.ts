/**
 * The second look at grants in use (core 5): what policies see of a target, an account, a purpose or an identity changed, or the policies did,
 * so each node decides the grants of its own sessions again, idle ones too, and ends those that are permitted no more. A grant that nobody uses
 * is left alone: its next use is a decision of its own.
 *
 * The trade: a session goes on while it is decided again, a few milliseconds. Grants that cannot be decided for as long as control may be
 * lost (rule 2) end.
 */
import type { Clock } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { every, nextTurn, sleep } from '../kernel/timer.ts'
import { loadAccountById, loadTarget } from '../catalog/catalog.ts'
import { knownIdentity } from './chain.ts'
import { decideUse } from './decide-use.ts'
import { endGrant } from './end.ts'
import { CONTROL_LOST_MS } from './ends.ts'
import type { AccessNeeds } from './needs.ts'
import type { GrantFacts } from './proof.ts'
import { loadGrant } from './read.ts'

export type SecondLook = AsyncDisposable & {
  /** A hint of the ends' channel, `target:<id>` for example. Without one: hints may have been missed, so all of this node's are looked at. */
  heard(hint?: string): void
  /** Taken before a use is decided on. */
  mark(): number
  /** Looks at the grant again if anything was heard since the mark: its use may have been decided on what was read before. */
  used(grantId: string, mark: number): void
}

type Needs = {
  readonly db: Db
  readonly access: AccessNeeds
  readonly nodeId: string
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly log: Log
}

/** `all`: whatever this node has in use. */
type Look = { readonly kind: (typeof KINDS)[number] | 'grant' | 'all'; readonly id: string; readonly sinceMs: number }

const KINDS = ['target', 'account', 'purpose', 'identity'] as const
const AGAIN_MS = 100
/** How often it is looked whether other policies decide. Operations of a session do not wait for it: their class table sees that at once. */
const EPOCH_MS = 1_000

export function openSecondLook(needs: Needs): SecondLook {
  return new Looking(needs)
}

class Looking implements SecondLook {
  readonly #needs: Needs
  readonly #waiting = new Map<string, Look>()
  readonly #stop = new AbortController()
  readonly #timer: Disposable
  #epoch: string
  #running: Promise<void> | undefined
  #heard = 0

  constructor(needs: Needs) {
    this.#needs = needs
    this.#epoch = needs.access.decisions.epoch()
    this.#timer = every(EPOCH_MS, () => this.#checkEpoch())
  }

  heard(hint?: string): void {
    const [word, id = ''] = hint?.split(':') ?? []
    const kind = hint === undefined ? 'all' : KINDS.find((each) => each === word && id !== '')
    if (kind === undefined) return
    this.#heard += 1
    this.#look({ kind, id, sinceMs: this.#needs.clock.monotonicMs() })
  }

  mark(): number {
    return this.#heard
  }

  used(grantId: string, mark: number): void {
    if (mark !== this.#heard) this.#look({ kind: 'grant', id: grantId, sinceMs: this.#needs.clock.monotonicMs() })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer[Symbol.dispose]()
    this.#stop.abort(new Error('this node stops'))
    await this.#running
  }

  #checkEpoch(): void {
    const epoch = this.#needs.access.decisions.epoch()
    if (epoch === this.#epoch) return
    this.#epoch = epoch
    this.heard()
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
    while (this.#waiting.size > 0 && !this.#stop.signal.aborted) {
      const looks = [...this.#waiting.values()]
      this.#waiting.clear()
      for (const look of looks) await this.#lookAt(look)
      if (this.#waiting.size > 0) await sleep(AGAIN_MS, this.#stop.signal).catch(() => undefined)
    }
  }

  async #lookAt(look: Look): Promise<void> {
    try {
      if (look.kind === 'grant') await this.#decide(look)
      else {
        for (const id of await grantsInUse(this.#needs, look)) {
          await this.#lookAt({ kind: 'grant', id, sinceMs: look.sinceMs })
        }
      }
    } catch (error) {
      this.#needs.log.warn({ err: error, ...look }, 'grants in use could not be decided again; trying again')
      this.#look(look)
    }
  }

  async #decide({ id, sinceMs }: Look): Promise<void> {
    const { db, access, clock, log } = this.#needs
    const isOverdue = clock.monotonicMs() - sinceMs >= CONTROL_LOST_MS
    const reasons = await transact(db, (tx) => reasonsAgainst(tx, access, id)).catch((error: unknown) => {
      if (!isOverdue) throw error
      log.error({ err: error, grant: id }, 'a grant in use cannot be decided again, so it ends')
      return ['It could not be decided again.']
    })
    if (reasons.length === 0) return
    await transact(db, (tx) => endGrant(tx, access, { grantId: id, reason: 'policy-changed', reasons }))
  }
}

async function grantsInUse({ db, nodeId }: Needs, { kind, id }: Look): Promise<string[]> {
  let rows = db
    .selectFrom('grantUse as u')
    .innerJoin('accessGrant as g', 'g.id', 'u.grantId')
    .select('g.id')
    .distinct()
    .where('u.nodeId', '=', nodeId)
    .where('u.state', 'in', ['reserved', 'live'])
    .where('g.endedAt', 'is', null)
    .orderBy('g.id')
  if (kind === 'target') rows = rows.where('g.targetId', '=', id)
  if (kind === 'account') rows = rows.where('g.accountId', '=', id)
  if (kind === 'purpose') rows = rows.where('g.purposeId', '=', id)
  if (kind === 'identity')
    rows = rows.where((row) => row.or([row('g.subjectId', '=', id), row('g.onBehalfOfId', '=', id)]))
  return (await rows.execute()).map((row) => row.id)
}

/** Why a grant in use is permitted no more, for any proof it is used with; empty when it is, is over, or nobody uses it. */
async function reasonsAgainst(tx: Tx, needs: AccessNeeds, grantId: string): Promise<readonly string[]> {
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
  if (!grant || grant.endedAt || grant.expiresAt <= needs.clock.now()) return []
  // The use that was taken last is decided on as it was then: it did not count yet.
  const before = { ...grant, uses: Math.max(0, grant.uses - 1) }
  for (const { kind, id } of proofs) {
    const facts = await factsNow(tx, { grant: before, proofId: id, proofKind: kind })
    const { reasons } = await decideUse(tx, needs, facts)
    if (reasons.length > 0) return reasons
  }
  return []
}

/** What a grant stands on, as it is now. */
export async function factsNow(
  tx: Tx,
  { grant, proofId, proofKind }: Pick<GrantFacts, 'grant' | 'proofId' | 'proofKind'>,
): Promise<GrantFacts> {
  const target = await loadTarget(tx, grant.targetId)
  const account = await loadAccountById(tx, grant.accountId)
  if (!target || !account) throw new Error(`the grant ${grant.id} is for nothing that has a record`)
  return { grant, proofId, proofKind, target, account, subject: await knownIdentity(tx, grant.subjectId) }
}
