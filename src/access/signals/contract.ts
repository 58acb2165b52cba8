import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { operation, PageQuery, pageOf, type Operation } from '../../kernel/operation.ts'
import { invalidInput, notFound, problem } from '../../kernel/problem.ts'
import { ReceiveSignal, Signal, SignalType } from './schemas.ts'

export * from './schemas.ts'
export * from './events.ts'

export const signalDiffers = problem('signal-differs', 409, 'Another signal was received under this jti', {
  signalId: z.uuid(),
})
export const tooManySignals = problem('too-many-signals', 409, 'Too many signals of one sender are in force', {
  most: z.int(),
})
export const signalOver = problem('signal-over', 409, 'The signal is withdrawn already', { signalId: z.uuid() })
export const ownSignal = problem('own-signal', 403, 'Nobody decides on signals about themselves', {})

export const receiveSignal = operation({
  id: 'signal.receive',
  method: 'POST',
  path: '/v1/signals',
  summary: 'Takes what a registered sender reports of an identity, session, credential or target.',
  function: 'iam',
  resource: 'Signal',
  input: ReceiveSignal,
  output: Signal,
  status: 201,
  problems: [notFound, invalidInput, signalDiffers, tooManySignals, ownSignal],
})
export const SignalQuery = PageQuery.extend({
  identity: Slug.optional().describe('name'),
  target: Slug.optional().describe('name'),
  sender: Slug.optional().describe('name'),
  type: SignalType.optional(),
  isInForce: z.stringbool().optional(),
})
export type SignalQuery = z.output<typeof SignalQuery>
export const listSignals = operation({
  id: 'signal.list',
  method: 'GET',
  path: '/v1/signals',
  summary: 'Lists received signals, newest first.',
  function: 'iam',
  resource: 'Installation',
  query: SignalQuery,
  output: pageOf(Signal),
})
const oneSignal = z.object({ signal: Id })
export const readSignal = operation({
  id: 'signal.read',
  method: 'GET',
  path: '/v1/signals/:signal',
  summary: 'Reads one received signal.',
  function: 'iam',
  resource: 'Signal',
  params: oneSignal,
  output: Signal,
  problems: [notFound],
})
export const withdrawSignal = operation({
  id: 'signal.withdraw',
  method: 'POST',
  path: '/v1/signals/:signal/withdraw',
  summary: 'Takes a signal out of force; grants that it ended stay ended.',
  function: 'iam',
  resource: 'Signal',
  params: oneSignal,
  input: z.strictObject({ reason: Reason }),
  output: Signal,
  problems: [notFound, signalOver, ownSignal],
})

export const signalOperations: readonly Operation[] = [receiveSignal, listSignals, readSignal, withdrawSignal]
