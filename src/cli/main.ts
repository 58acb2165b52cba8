import { Command, CommanderError } from 'commander'
import { constants } from 'node:os'
import { addAgentCommand } from './commands/agent.ts'
import { addConnectCommand } from './commands/connect.ts'
import { addGraphCommands } from './commands/graph.ts'
import { addContextCommands } from './commands/context.ts'
import { addCredentialCommands } from './commands/credential.ts'
import { addIdentityCommands } from './commands/identity.ts'
import { addLedgerCommands } from './commands/ledger.ts'
import { addOperationCommands } from './commands/operations.ts'
import { addPolicyCommands } from './commands/policy.ts'
import { addPolicyVersionCommands } from './commands/policy-versions.ts'
import { addRunCommands } from './commands/run.ts'
import { addScanCommand } from './commands/scan.ts'
import { addServerCommands } from './commands/server.ts'
import { EXIT, Failure } from './failure.ts'
import type { Io } from './io.ts'
import { printable, printableLines } from './output/printable.ts'
import type { Parts } from './parts.ts'
import { Interrupted } from './run/run.ts'

/** Runs one command line and gives its exit code: 0 done, 1 usage or this machine, 2 server, 3 denied, 4 pending, 5 over. */
export async function runCli(args: readonly string[], io: Io, parts: Parts): Promise<number> {
  let exitCode: number = EXIT.ok
  try {
    const program = await programOf(io, parts, (code) => {
      exitCode = code
    })
    await program.parseAsync([...args], { from: 'user' })
    return exitCode
  } catch (error) {
    return exitCodeFor(io, error)
  }
}

/** The whole tree of commands; operations come last, so that a command by hand keeps its name. */
async function programOf(io: Io, parts: Parts, exit: (code: number) => void): Promise<Command> {
  const program = new Command('reeve')
    .description('Privileged access on one record: request it, use it, end it, prove it.')
    .version(parts.version, '--version', 'prints the version of this program')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // What was typed comes back in these sentences.
      writeErr: (text) => io.stderr.write(printableLines(text)),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
    })
  program.addHelpText('after', HELP)
  addServerCommands(program, io, parts)
  addIdentityCommands(program, io)
  addContextCommands(program, io)
  addConnectCommand(program, io)
  addGraphCommands(program, io)
  addRunCommands(program, io, exit)
  addCredentialCommands(program, io)
  addScanCommand(program, io, parts, exit)
  addAgentCommand(program, io, parts)
  const operations = await parts.operations()
  addOperationCommands(program, io, operations)
  addLedgerCommands(program, io, parts, { operations, exit })
  addPolicyCommands(program, io, parts, exit)
  addPolicyVersionCommands(program, io, parts)
  return program
}

const HELP = `
Variables: REEVE_ADDR, REEVE_TOKEN or REEVE_TOKEN_FILE, REEVE_CACERT, REEVE_CLIENT_CERT and REEVE_CLIENT_KEY go over the
context in use; REEVE_CONTEXT names one, REEVE_OUTPUT the form of output.
Exit codes: 0 done, 1 usage or this machine, 2 server, 3 denied, 4 waits for approval, 5 over.`

function exitCodeFor(io: Io, error: unknown): number {
  if (error instanceof CommanderError) {
    const isAnswer = error.code === 'commander.helpDisplayed' || error.code === 'commander.version'
    return isAnswer ? EXIT.ok : EXIT.usage
  }
  if (error instanceof Interrupted) return 128 + constants.signals[error.signal]
  if (error instanceof Failure) {
    io.stderr.write(`reeve: ${printable(error.message)}\n`)
    for (const line of error.advice) io.stderr.write(`  ${printable(line)}\n`)
    return error.exitCode
  }
  io.stderr.write(`reeve: ${printableLines(error instanceof Error ? error.message : String(error))}\n`)
  return EXIT.usage
}
