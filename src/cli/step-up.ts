import { readStepUp, StepUp } from '../login/contract.ts'
import type { Operation } from '../kernel/operation.ts'
import { sleep } from '../kernel/timer.ts'
import type { Client, Given } from './client.ts'
import { EXIT, Failure } from './failure.ts'
import { tell, type Io } from './io.ts'
import { printable } from './output/printable.ts'
import { ApiProblem } from './problems.ts'

/** How often is looked: a person takes seconds, and a second more is not felt. */
const LOOK_MS = 1000

/**
 * Makes a call. Where it owes a fresh proof of its person, they are told where to give it and what for, and the same call goes out again when
 * they have. Nothing is asked of anybody who owes nothing.
 */
export async function callSteppedUp(
  io: Io,
  client: Client,
  operation: Operation,
  given: Given = {},
  signal?: AbortSignal,
): Promise<unknown> {
  try {
    return await client.call(operation, given, signal)
  } catch (error) {
    if (!(error instanceof ApiProblem) || error.slug !== 'insufficient-user-authentication') throw error
  }
  const { idempotencyKey, ...rest } = given
  const asked = StepUp.safeParse(await client.call(operation, { ...rest, requestStepUp: true }, signal))
  if (!asked.success) throw new Failure(EXIT.server, 'The server asked for a step-up and did not say for what.')
  const { id, person, lines, url, code, expiresAt } = asked.data
  tell(io, `${printable(person)} has to confirm exactly this:`)
  for (const line of lines) tell(io, `  ${printable(line)}`)
  tell(io, `Open ${printable(url)}`)
  tell(io, `and enter the code ${printable(code ?? '')} there, before ${expiresAt.toISOString()}.`)
  await answered(client, id, signal)
  // What was kept under the key is the refusal.
  const key = idempotencyKey === undefined ? {} : { idempotencyKey: `${idempotencyKey}.step-up` }
  return client.call(operation, { ...rest, ...key, stepUp: id }, signal)
}

async function answered(client: Client, id: string, signal: AbortSignal | undefined): Promise<void> {
  for (;;) {
    const { state } = await client.ask(readStepUp, { params: { stepUp: id } }, signal)
    if (state === 'proven') return
    if (state === 'refused') throw new Failure(EXIT.denied, 'The person refused it. Nothing was done.')
    if (state !== 'pending') throw new Failure(EXIT.over, `The step-up is ${state}. Nothing was done.`)
    await sleep(LOOK_MS, signal)
  }
}
