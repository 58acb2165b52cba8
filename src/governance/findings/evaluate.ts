import { coverageOf, refreshStatistics } from '../../inventory/inventory.ts'
import type { Db } from '../../kernel/db.ts'
import { conflict } from '../../kernel/problem.ts'
import { claimDuePass, claimPass, within, type Passing } from '../pass.ts'
import { applyDue, dueOf, type Counts, type Due, type FindingNeeds } from './apply.ts'
import type { FindingsEvaluated, Look } from './contract.ts'
import { loadGrantFacts, loadTrustRuleFacts } from './facts/grants.ts'
import { keptOf, type KeptFinding } from './kept.ts'
import { loadCredentialFacts } from './facts/credentials.ts'
import { loadTrustFacts } from './facts/trust.ts'
import { loadIdentityFacts } from './facts/identities.ts'
import { loadPrincipalFacts } from './facts/principals.ts'
import { loadAccountFacts, loadCombinedFacts, type Batch } from './facts/record.ts'
import { loadToolFacts } from './facts/tools.ts'
import { clear, type Rule, type Subject, type SubjectKind, type Verdict } from './rule.ts'
import { RULES } from './rules/index.ts'

/** Each batch has a transaction of its own, and no more than three are held in memory: one is read, one judged, one written. */
const BATCH = 4_000
const FIRST = '00000000-0000-0000-0000-000000000000'
/** Behind the graph: what reaches the top is one of the things that are judged. */
const PASS: Passing = { pass: 'finding_pass', follows: ['readings', 'ways'], lostSeconds: 3600 }

/** Lets every rule look at everything, and the combinations at what was found. Throws `conflict` while another pass goes on. */
export async function evaluateFindings(db: Db, needs: FindingNeeds, signal: AbortSignal): Promise<FindingsEvaluated> {
  const claim = await claimPass(db, needs.clock, PASS)
  if (!claim) {
    throw conflict('The rules look at everything already.', { type: 'FindingPass', id: 'findings', state: 'running' })
  }
  return within(claim, (beganAt) => passOver(db, needs, beganAt, signal))
}

/** The same on a schedule: nothing where somebody looked lately, or looks now. */
export async function evaluateFindingsWhenDue(db: Db, needs: FindingNeeds, signal: AbortSignal): Promise<void> {
  const claim = await claimDuePass(db, needs.clock, PASS)
  if (claim) await within(claim, (beganAt) => passOver(db, needs, beganAt, signal))
}

async function passOver(db: Db, needs: FindingNeeds, beganAt: Date, signal: AbortSignal): Promise<FindingsEvaluated> {
  await refreshStatistics(db)
  const counts: Counts = { opened: 0, reopened: 0, restated: 0, fixed: 0 }
  const looks = new Map<string, Noted>()
  const over = { db, needs, counts, looks, signal }
  await lookAtAll(over, 'identity', RULES.identity, loadIdentityFacts)
  await lookAtAll(over, 'account', RULES.account, loadAccountFacts)
  await lookAtAll(over, 'principal', RULES.principal, loadPrincipalFacts)
  await lookAtAll(over, 'credential', [...RULES.credential, ...RULES.keeping], loadCredentialFacts)
  await lookAtAll(over, 'trust', RULES.trust, loadTrustFacts)
  await lookAtAll(over, 'grant', RULES.grant, loadGrantFacts)
  await lookAtAll(over, 'trust-rule', RULES.trustRule, loadTrustRuleFacts)
  await lookAtAll(over, 'tool', RULES.tool, loadToolFacts)
  await lookAtAll(over, 'identity', RULES.combined, loadCombinedFacts)
  const endedAt = needs.clock.now()
  const all = [...looks.values()]
  await db
    .updateTable('findingPass')
    .set({ endedAt, looks: JSON.stringify(all) })
    .where('beganAt', '=', beganAt)
    .execute()
  return { ...counts, pass: { beganAt, endedAt, looks: all }, coverage: await coverageOf(db, needs.clock) }
}

type Noted = Pick<Look, 'rule'> & { judged: number; found: number; unknown: number; why: Record<string, number> }
type Over = {
  readonly db: Db
  readonly needs: FindingNeeds
  readonly counts: Counts
  readonly looks: Map<string, Noted>
  readonly signal: AbortSignal
}

async function lookAtAll<Facts extends Subject>(
  over: Over,
  kind: SubjectKind,
  rules: readonly Rule<Facts>[],
  load: (db: Db, batch: Batch) => Promise<Facts[]>,
): Promise<void> {
  const { db, needs, counts, looks, signal } = over
  for (const { id } of rules) looks.set(id, { rule: id, judged: 0, found: 0, unknown: 0, why: {} })
  const next = (after: string) => quietly(load(db, { after, limit: BATCH, now: needs.clock.now() }))
  let writing: Promise<void> = Promise.resolve()
  try {
    for (let coming = next(FIRST); ;) {
      signal.throwIfAborted()
      const batch = await coming
      const last = batch.at(-1)
      if (!last) break
      coming = next(last.id)
      const kept = await keptOf(
        db,
        batch.map(({ id }) => id),
      )
      const due = judgeAll(over, { kind, rules, batch, kept })
      await writing
      writing = quietly(applyDue(db, needs, due).then((made) => addTo(counts, made)))
    }
    await writing
  } finally {
    // Nothing is written any more by a pass that failed.
    await writing.catch(() => undefined)
  }
}

/** Awaited later; until then nobody hears of its failure. */
function quietly<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined)
  return work
}

type Asked<Facts> = {
  readonly kind: SubjectKind
  readonly rules: readonly Rule<Facts>[]
  readonly batch: readonly Facts[]
  readonly kept: ReadonlyMap<string, readonly KeptFinding[]>
}

/** What comes of it where every rule looks at each of them. */
function judgeAll<Facts extends Subject>({ needs, looks }: Over, { kind, rules, batch, kept }: Asked<Facts>): Due[] {
  const now = needs.clock.now()
  const all: Due[] = []
  for (const subject of batch) {
    const ofSubject = kept.get(subject.id)
    for (const rule of rules) {
      const verdict = subject.goneAt === null ? rule.judge(subject) : clear(subject.goneAt)
      note(looks, rule.id, verdict)
      // Of most there is nothing to say, and nothing was.
      if (verdict.is !== 'found' && !ofSubject) continue
      const due = dueOf({ rule: rule.id, kind, subject, verdict }, ofSubject, now)
      if (due) all.push(due)
    }
  }
  return all
}

function addTo(counts: Counts, { opened, reopened, restated, fixed }: Counts): void {
  counts.opened += opened
  counts.reopened += reopened
  counts.restated += restated
  counts.fixed += fixed
}

function note(looks: Map<string, Noted>, rule: string, verdict: Verdict): void {
  const look = looks.get(rule)
  if (!look) throw new Error('a rule looked that was not asked')
  look.judged += 1
  if (verdict.is === 'found') look.found += 1
  if (verdict.is !== 'unknown') return
  look.unknown += 1
  look.why[verdict.why] = (look.why[verdict.why] ?? 0) + 1
}
