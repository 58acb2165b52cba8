import { pino, type DestinationStream, type Logger } from 'pino'

/** Structured log. Objects first, then a sentence. Secrets print as `[secret]` by themselves. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'child'>

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Lines of JSON on `destination` (standard error by default, since standard output is for answers). */
export function openLog(level: LogLevel, destination?: DestinationStream): Logger {
  return pino(
    { level, base: null, timestamp: () => `,"at":"${new Date().toISOString()}"` },
    destination ?? pino.destination(2),
  )
}

/** For tools and tests that must not speak. */
export const silentLog: Logger = pino({ level: 'silent' })
