import type { Log } from '../../kernel/log.ts'
import type { Ending } from '../gateway.ts'
import type { SessionLimits } from './settings.ts'
import { errorResponse } from './wire/encode.ts'
import { sqlState, WireError } from './wire/wire-error.ts'

// Why a session can end from here; the plane brings its own reasons.
export const CLIENT_LOST: Ending = { reason: 'client-lost', sentence: 'The client is gone.' }
export const CLIENT_CLOSED: Ending = { reason: 'client-closed', sentence: 'The client closed the session.' }
export const TARGET_CLOSED: Ending = { reason: 'target-closed', sentence: 'The target closed the connection.' }
export const STOPPING: Ending = {
  reason: 'node-stopped',
  sentence: 'This node of Reeve is stopping; connect again to reach another.',
}
export const PARSER_UNSAFE: Ending = {
  reason: 'parser-unsafe',
  sentence: 'The server changed how statements are read, so nothing more can be decided in this session.',
}
export const FAULT: Ending = { reason: 'gateway-fault', sentence: 'The gateway could not go on; its log says why.' }
const SERVER_PROTOCOL: Ending = {
  reason: 'server-protocol',
  sentence: 'The session cannot go on: a message of the target could not be read.',
}

const CODES: Readonly<Record<string, string>> = {
  'client-protocol': sqlState.protocolViolation,
  'client-limit': sqlState.programLimitExceeded,
  'row-limit': sqlState.programLimitExceeded,
  'byte-limit': sqlState.programLimitExceeded,
  idle: '57P05',
  'target-closed': '08006',
  'gateway-fault': 'XX000',
  'server-protocol': '08P01',
}

/** Why a session ends that took more than it may. */
export function beyond(limits: SessionLimits, rows: number, bytes: number): Ending | undefined {
  const { rowsPerStatement, bytesPerSession } = limits
  if (rows > rowsPerStatement) {
    return { reason: 'row-limit', sentence: `A statement returned more than ${rowsPerStatement} rows.` }
  }
  if (bytes <= bytesPerSession) return undefined
  return { reason: 'byte-limit', sentence: `The session returned more than ${bytesPerSession} bytes.` }
}

type Failing = { readonly log: Log; readonly live: { readonly id: string } }

/** Why a session ends whose bytes could not be followed. */
export function brokenBy(error: unknown, side: 'client' | 'server', { log, live }: Failing): Ending {
  if (error instanceof WireError) {
    if (side === 'server') return SERVER_PROTOCOL
    const isLimit = error.code === sqlState.programLimitExceeded
    return { reason: isLimit ? 'client-limit' : 'client-protocol', sentence: error.message }
  }
  log.error({ err: error, session: live.id }, 'a session failed in the gateway')
  return FAULT
}

/** What the client is told last: 57P01 and the reason, unless something of its own was the cause. */
export function lastWord({ reason, sentence }: Ending): Buffer {
  return errorResponse({ severity: 'FATAL', code: CODES[reason] ?? sqlState.adminShutdown, message: sentence })
}

/** The `Ending` that a signal carries as its reason. */
export function endingOf(signal: AbortSignal): Ending {
  const reason: unknown = signal.reason
  if (typeof reason === 'object' && reason !== null && 'reason' in reason && 'sentence' in reason) {
    return { reason: String(reason.reason), sentence: String(reason.sentence) }
  }
  return { reason: 'ended', sentence: 'The grant ended.' }
}
