/** Where a command reads and writes; tests pass their own. Data goes to `stdout`, everything about it to `stderr`. */
export type Io = {
  readonly stdout: Output
  readonly stderr: Output
  /** All of standard input; asked for only where a command takes it. */
  readonly readStdin: () => Promise<string>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly workingFolder: string
}

export type Output = {
  write(text: string | Uint8Array): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** One line for the person who waits. */
export function tell(io: Io, sentence: string): void {
  io.stderr.write(`${sentence}\n`)
}

/** More on standard input than any answer or key is a mistake. */
const STDIN_MAX_BYTES = 1_000_000

/** This process's own streams. */
export function processIo(env: Io['env']): Io {
  // `reeve list | head` closes the pipe early: that is the reader's right, and not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
  return { stdout: process.stdout, stderr: process.stderr, readStdin, env, workingFolder: process.cwd() }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk)
    sizeBytes += bytes.length
    if (sizeBytes > STDIN_MAX_BYTES) throw new Error('There is too much on standard input.')
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
