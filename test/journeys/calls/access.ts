import { randomUUID } from 'node:crypto'
import { approveChange, receiveSignal } from '../../../src/access/contract.ts'
import { evaluateDecision } from '../../../src/policy/contract.ts'
import { newKeyPair } from '../../../src/kernel/key-pair.ts'
import type { Client } from '../../../src/cli/client.ts'
import type { Asked, Row, Rows } from './call.ts'
import { READ, type Stage } from './stage.ts'

const WHY = { reason: 'because the test says so' }

export function accessRows(stage: Stage): Rows {
  const { cast, mallory, drone } = stage
  const { bob, carol, erin } = cast
  const ofGrant = async (by: Client, input?: unknown, more?: Record<string, unknown>): Promise<Asked> => ({
    by,
    given: { params: { grant: await stage.granted(more) }, input },
  })
  /** What Bob does with his own grant, and nobody else. */
  const own = (input?: () => unknown, more?: Record<string, unknown>): Row => ({
    done: async () => ofGrant(bob, await input?.(), more),
    refused: async () => ofGrant(carol, await input?.(), more),
    as: 'not-permitted',
  })
  const decided = async (by: Client, comment?: string): Promise<Asked> => {
    const { id, boundSha256 } = await stage.pending()
    return { by, given: { params: { request: id }, input: comment === undefined ? { boundSha256 } : { comment } } }
  }
  const ofChange = async (by: Client, input?: unknown): Promise<Asked> => ({
    by,
    given: { params: { change: (await stage.change()).id }, input },
  })
  const saidOf = async (by: Client): Promise<Asked> => {
    const { id, boundSha256 } = await stage.change()
    return { by, given: { params: { change: id }, input: { boundSha256 } } }
  }
  /** Erin is of security. */
  const signal = () => ({
    jti: randomUUID(),
    type: 'device-compliance-change',
    about: 'identity',
    subject: 'gone',
    severity: 'low',
    reason: 'the laptop was not seen for a month',
    occurredAt: new Date().toISOString(),
  })
  const ofSignal = async (by: Client, input?: unknown): Promise<Asked> => ({
    by,
    given: { params: { signal: (await erin.ask(receiveSignal, { input: signal() })).id }, input },
  })
  const ofHold = async (by: Client, input?: unknown): Promise<Asked> => ({
    by,
    given: { params: { hold: (await stage.hold()).id }, input },
  })
  const released = async (by: Client): Promise<Asked> => {
    const { id, boundSha256 } = await stage.hold()
    return { by, given: { params: { hold: id }, input: { boundSha256 } } }
  }
  /** What an enforcement point was denied for somebody, and that somebody asks for it. */
  const denied = async (by: Client, subject: { type: string; id: string }): Promise<Asked> => {
    const { target, account, actions, purpose } = READ
    const question = {
      subject,
      action: { name: actions[0] ?? '' },
      resource: { type: 'account', id: `${account}@${target}` },
      context: { purpose },
    }
    const { context } = await cast.ada.ask(evaluateDecision, { input: question })
    const { expires_at = '', binding_token = '' } = context.access_request ?? {}
    return { by, given: { input: { ...question, denial: { expires_at, binding_token } } } }
  }
  const list = { done: () => ({ by: bob }), refused: () => ({ by: drone }), as: 'not-permitted' }
  return {
    'access.request': {
      done: () => ({ by: bob, given: { input: READ } }),
      refused: () => ({ by: drone, given: { input: READ } }),
      as: 'not-permitted',
    },
    'access.preview': {
      done: () => ({ by: drone, given: { input: READ } }),
      refused: () => ({ by: drone, given: { input: { ...READ, account: 'unknown' } } }),
      as: 'not-found',
    },
    'access.list': {
      done: async () => {
        await stage.pending()
        return { by: bob, given: { query: { view: 'inbox' } } }
      },
      refused: () => ({ by: drone }),
      as: 'not-permitted',
    },
    'access.read': {
      done: async () => ({ by: bob, given: { params: { request: (await stage.pending()).id } } }),
      refused: async () => ({ by: drone, given: { params: { request: (await stage.pending()).id } } }),
      as: 'not-permitted',
    },
    'access.submit': {
      done: () => denied(bob, { type: 'user', id: 'bob' }),
      refused: () => denied(drone, { type: 'workload', id: stage.droneName }),
      as: 'not-permitted',
    },
    'access.follow': {
      done: async () => ({ by: carol, given: { params: { request: (await stage.pending()).id } } }),
      refused: async () => ({ by: drone, given: { params: { request: (await stage.pending()).id } } }),
      as: 'not-permitted',
    },
    'access.approve': { done: () => decided(bob), refused: () => decided(carol), as: 'not-permitted' },
    'access.deny': {
      done: () => decided(bob, 'not today'),
      refused: () => decided(mallory, 'not today'),
      as: 'not-permitted',
    },
    'access.withdraw': {
      done: async () => ({ by: carol, given: { params: { request: (await stage.pending()).id } } }),
      refused: async () => ({ by: mallory, given: { params: { request: (await stage.pending()).id } } }),
      as: 'not-permitted',
    },
    'hold.list': list,
    'hold.read': { done: () => ofHold(carol), refused: () => ofHold(drone), as: 'not-permitted' },
    'hold.release': { done: () => released(carol), refused: () => released(bob), as: 'not-permitted' },
    'hold.refuse': { done: () => ofHold(carol, {}), refused: () => ofHold(mallory, {}), as: 'not-permitted' },
    'change.list': list,
    'change.read': { done: () => ofChange(carol), refused: () => ofChange(drone), as: 'not-permitted' },
    'change.approve': { done: () => saidOf(carol), refused: () => saidOf(bob), as: 'not-permitted' },
    'change.deny': { done: () => ofChange(erin, {}), refused: () => ofChange(mallory, {}), as: 'not-permitted' },
    'change.withdraw': { done: () => ofChange(bob), refused: () => ofChange(carol), as: 'not-permitted' },
    'change.apply': {
      done: async () => {
        const { id, boundSha256 } = await stage.change()
        await carol.ask(approveChange, { params: { change: id }, input: { boundSha256 } })
        return { by: bob, given: { params: { change: id } } }
      },
      refused: () => ofChange(carol),
      as: 'not-permitted',
    },
    'grant.list': list,
    'grant.read': { done: () => ofGrant(carol), refused: () => ofGrant(drone), as: 'not-permitted' },
    'grant.revoke': { done: () => ofGrant(erin, WHY), refused: () => ofGrant(mallory, WHY), as: 'not-permitted' },
    'grant.done': own(),
    'grant.heartbeat': own(undefined, { isKeptAlive: true }),
    'signal.receive': {
      done: () => ({ by: erin, given: { input: signal() } }),
      // A workload, but none that is registered as a sender.
      refused: () => ({ by: drone, given: { input: signal() } }),
      as: 'not-permitted',
    },
    'signal.list': list,
    'signal.read': { done: () => ofSignal(bob), refused: () => ofSignal(drone), as: 'not-permitted' },
    'signal.withdraw': {
      done: () => ofSignal(erin, WHY),
      refused: () => ofSignal(mallory, WHY),
      as: 'not-permitted',
    },
    'ticket.issue': own(() => ({})),
    'key.issue': own(async () => ({ publicKey: (await newKeyPair()).publicKey })),
  }
}
