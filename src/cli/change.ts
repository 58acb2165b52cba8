import { applyChange, Change, readChange } from '../access/contract.ts'
import type { Operation } from '../kernel/operation.ts'
import { sleep } from '../kernel/timer.ts'
import type { Client } from './client.ts'
import { EXIT, Failure } from './failure.ts'
import { tell, type Io } from './io.ts'
import { printable } from './output/printable.ts'
import { render } from './output/render.ts'
import type { Format } from './output/render.ts'
import { isRecord } from './record.ts'
import { callSteppedUp } from './step-up.ts'

/** The change that a call became because others have to approve it, if it did. */
export function changeIn(operation: Operation, answer: unknown): Change | undefined {
  if (!isRecord(answer) || answer['operation'] !== operation.id) return undefined
  return Change.safeParse(answer).data
}

/** Says what it waits for and how it goes on. */
export async function leaveWaiting(io: Io, format: Format, change: Change): Promise<never> {
  await render(io.stdout, format, Change, Change.encode(change))
  const { id, obligations } = change
  throw new Failure(EXIT.pending, `Others have to approve it: ${obligations.approval.join(' and ')}.`, [
    `They look at it: reeve change read ${id}`,
    `They approve what they saw: reeve change approve ${id} --bound-sha256 ${change.boundSha256}`,
    `Then you apply it: reeve change apply ${id}`,
  ])
}

/** How often is looked: quick at first, since a colleague at the desk answers at once; then gently. */
const FIRST_LOOK_MS = 250
const SLOWEST_LOOK_MS = 2000
const GROWTH = 1.3

/** Waits until others approved the change, applies it, and returns what the operation answered. Left alone, it stays as it is. */
export async function appliedAnswer(io: Io, client: Client, change: Change): Promise<unknown> {
  const { id } = change
  const params = { change: id }
  tell(
    io,
    `Change ${id} waits; it ends by itself at ${change.expiresAt.toISOString()}. Later: reeve change apply ${id}`,
  )
  let said = ''
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(SLOWEST_LOOK_MS, pauseMs * GROWTH)) {
    const { state, missing, refusal } = await client.ask(readChange, { params })
    if (state === 'approved') {
      return applyChange.output.parse(await callSteppedUp(io, client, applyChange, { params })).answer
    }
    if (state !== 'pending') {
      const why = refusal === null ? '' : ` ${printable(refusal)}`
      throw new Failure(state === 'denied' ? EXIT.denied : EXIT.over, `Change ${id} is ${state}.${why}`)
    }
    const waiting = missing.map(printable).join('; or ')
    if (waiting !== said) tell(io, `Waiting for: ${waiting || 'a decision'}`)
    said = waiting
    await sleep(pauseMs)
  }
}
