/** What the exit code says; scripts rely on it. */
export const EXIT = {
  ok: 0,
  /** The command line, a file, or something else on this machine. */
  usage: 1,
  /** The server refused or could not be reached. */
  server: 2,
  /** The policy, or whoever was asked, said no; or nobody was proven. */
  denied: 3,
  /** It waits for an approval. */
  pending: 4,
  /** What was asked about is over: a grant, a request, a session. */
  over: 5,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** The end of a command that did not do what it was asked: a sentence, what to do about it, and the exit code. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: ExitCode
  readonly advice: readonly string[]

  constructor(exitCode: ExitCode, sentence: string, advice: readonly string[] = [], options?: ErrorOptions) {
    super(sentence, options)
    this.exitCode = exitCode
    this.advice = advice
  }
}

/** Something on this machine or in the command line is wrong. */
export function usage(sentence: string, ...advice: string[]): Failure {
  return new Failure(EXIT.usage, sentence, advice)
}
