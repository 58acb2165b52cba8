import type { Db } from '../../kernel/db.ts'
import type { Actor } from '../../ledger/ledger.ts'
import { answerOf } from '../authzen/answer.ts'
import type { AskedQuestion } from '../authzen/asked.ts'
import { enter, type EvaluateNeeds } from '../authzen/evaluate.ts'
import { factsFor, prepare } from '../authzen/question.ts'
import type { Explained } from '../contract.ts'
import { newId } from '../../kernel/random.ts'
import { explain } from './explain.ts'

/** Why a question is answered as it is, on the record as it stands. Entered like the answer itself: it tells as much. */
export async function explainLive(
  db: Db,
  needs: EvaluateNeeds,
  actor: Actor,
  asked: AskedQuestion,
): Promise<Explained> {
  const { set } = needs.engine.current()
  const prepared = await prepare(db, needs, factsFor(db, needs, set), set, asked)
  // From here on nothing waits: the version that decides now explains itself.
  const engine = needs.engine.current()
  const policyVersion = engine.set.sha256
  if ('unanswerable' in prepared) {
    return { decision: false, lines: [`Denied. ${prepared.unanswerable}`], owed: [], policies: [], policyVersion }
  }
  const { question, entities, floor } = prepared
  const { decision, links, lines } = explain(engine, question, {
    decisionId: newId(needs.clock, needs.random),
    now: needs.clock.now(),
    epoch: policyVersion,
    entities,
    ...(floor && { floor }),
  })
  const { answer, decided } = answerOf(needs, asked, prepared, decision)
  await enter(needs, actor, prepared, decision, decided)
  const owed = answer.context.owed ?? []
  return {
    decision: answer.decision,
    lines: owed.length === 0 ? [...lines] : [...lines, ...owed.map((sentence) => `Not shown: ${sentence}`)],
    owed,
    policies: links.flatMap(({ link, bearings }) =>
      bearings.map(({ id, effect, applies, holds, fails }) => ({
        link: `${link.type} ${link.id}`,
        id,
        effect,
        applies,
        holds: [...holds],
        fails: [...fails],
      })),
    ),
    policyVersion,
  }
}
