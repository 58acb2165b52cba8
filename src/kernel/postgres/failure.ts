/** Why the embedded PostgreSQL cannot run; the message is a sentence an operator can act on. */
export type StartFailure =
  | 'no-binaries'
  | 'unreachable-folder'
  | 'unwritable-folder'
  | 'foreign-folder'
  | 'damaged-folder'
  | 'wrong-version'
  | 'disk-full'
  | 'no-account'
  | 'exited'
  | 'timeout'

export class CannotStartPostgres extends Error {
  override readonly name = 'CannotStartPostgres'
  readonly failure: StartFailure

  constructor(failure: StartFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.failure = failure
  }
}

/** Every message about something that can't be helped here ends with the way around it. */
export const ELSEWHERE = 'or set REEVE_DATABASE_URL to use an external PostgreSQL'

/** The code of a system error or the SQLSTATE of a database error. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Says which folder a failed write belongs to; other errors pass as they are. */
export function explainWrite(error: unknown, folder: string): unknown {
  const code = codeOf(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(folder, error)
  if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS' && code !== 'ENOTDIR') return error
  return new CannotStartPostgres(
    'unwritable-folder',
    `The embedded PostgreSQL cannot write to ${folder} (${code}). Make it writable, choose another REEVE_HOME, ${ELSEWHERE}.`,
    { cause: error },
  )
}

function diskFull(folder: string, cause?: unknown): CannotStartPostgres {
  return new CannotStartPostgres(
    'disk-full',
    `The disk that holds ${folder} is full. Free some space; PostgreSQL recovers by itself.`,
    { cause },
  )
}

/**
 * Turns what a PostgreSQL program left on its standard error into a failure. The text is the only channel such a program has;
 * SQLSTATEs are there where our own `log_line_prefix` printed them.
 */
export function explainOutput(program: string, output: string, folder: string): CannotStartPostgres {
  if (/ 53100 |No space left on device|Disk quota exceeded/.test(output)) return diskFull(folder)
  if (output.includes('could not look up effective user ID')) {
    return new CannotStartPostgres(
      'no-account',
      `PostgreSQL needs an entry in /etc/passwd for the user it runs as. Add one, run as root (it drops to an unprivileged user), ${ELSEWHERE}.`,
    )
  }
  const lines = output.split('\n').filter((line) => /FATAL|PANIC|ERROR|error:/.test(line))
  const told = (lines.at(-1) ?? output.trim().split('\n').at(-1) ?? '').trim().slice(0, 500)
  return new CannotStartPostgres('exited', `${program} gave up: ${told === '' ? 'it said nothing' : told}`)
}
