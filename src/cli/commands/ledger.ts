import type { Command } from 'commander'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { once } from 'node:events'
import { z } from 'zod'
import type { Operation } from '../../kernel/operation.ts'
import { clientFor, formatOf } from '../calling.ts'
import type { Client } from '../client.ts'
import { changeContexts, readContexts } from '../contexts.ts'
import { EXIT, Failure, usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { operationCommand } from '../operation-command.ts'
import type { Parts } from '../parts.ts'
import { Receipt } from '../../ledger/contract.ts'
import { printable, printableLines } from '../output/printable.ts'
import { render } from '../output/render.ts'
import { shapeOf } from '../shape.ts'
import { nounCommand } from './operations.ts'

type Given = { readonly operations: readonly Operation[]; readonly exit: (code: number) => void }

type VerifyOptions = {
  key: string[]
  checkpoint: string[]
  witness: string[]
  quorum?: string
  entry?: string
  acceptLoss: string[]
  json?: boolean
  context?: string
}

/** The ledger to take away, and to check without trusting whoever gave it. */
export function addLedgerCommands(program: Command, io: Io, parts: Parts, { operations, exit }: Given): void {
  const ledger = nounCommand(program, 'ledger')
  const exporting = operations.find(({ id }) => id === 'ledger.export')
  const proving = operations.find(({ id }) => id === 'ledger.prove')
  addVerify(ledger, async (source, options) => {
    exit(await verify(io, parts, exporting, source, options))
  })
  if (exporting) {
    ledger
      .command('export')
      .description(exporting.summary)
      .option('-o, --output <file>', 'where to; standard output otherwise')
      .option('--context <name>', 'which server, of those that `reeve context list` shows')
      .action(async (options: { output?: string; context?: string }) => {
        using client = clientFor(io, options)
        const lines = client.lines(exporting)
        if (options.output !== undefined) await save(lines, resolve(io.workingFolder, options.output))
        else for await (const line of lines) io.stdout.write(`${line}\n`)
      })
  }
  if (proving) addProve(ledger, io, proving)
  const verbs = ledger.commands.map((command) => command.name())
  ledger.description(verbs.join(', '))
}

function addVerify(ledger: Command, run: (source: string | undefined, options: VerifyOptions) => Promise<void>): void {
  const each = (value: string, before: string[]) => [...before, value]
  ledger
    .command('verify')
    .description(
      'Checks an export, or the server’s whole ledger as it is now, offline. Ends with 0 if everything holds, 1 if anything does not, 2 if it could not be tried.',
    )
    .argument('[export]', 'a file that `ledger export` wrote; fetched from the server otherwise')
    .option('--key <key>', 'verifier key of the log, or a file of them; once for each', each, [])
    .option(
      '--checkpoint <file>',
      'a signed checkpoint kept from earlier: finds truncation and fork; once for each',
      each,
      [],
    )
    .option('--witness <key>', 'verifier key of a witness, or a file of them; once for each', each, [])
    .option('--quorum <n>', 'how many witnesses must have cosigned; all when left out')
    .option('--entry <id>', 'prints the entry of that index, or those that hold that id')
    .option('--accept-loss <origin>', 'a log whose declared loss in a restore is known and accepted', each, [])
    .option('--json', 'the report as JSON')
    .option('--context <name>', 'which server, of those that `reeve context list` shows')
    .action(run)
}

function addProve(ledger: Command, io: Io, proving: Operation): void {
  const command = operationCommand(io, shapeOf(proving), async ({ given, options }) => {
    using client = clientFor(io, options)
    const answer = await client.call(proving, given)
    const receipt = Receipt.safeParse(answer)
    const format = formatOf(io, options.output)
    if (format !== 'table' || !receipt.success) return render(io.stdout, format, proving.output, answer)
    const { origin, index, size, leaf, proof } = receipt.data
    tell(io, printable(`Entry ${index} of ${size} in ${origin}:`))
    tell(io, printable(leaf))
    // The proof is what one keeps, so it stands alone on standard output.
    io.stdout.write(printableLines(proof))
  })
  ledger.addCommand(command.copyInheritedSettings(ledger))
}

async function verify(
  io: Io,
  parts: Parts,
  exporting: Operation | undefined,
  source: string | undefined,
  options: VerifyOptions,
): Promise<number> {
  const print = (text: string) => void io.stdout.write(`${text}\n`)
  if (source !== undefined) {
    return parts.verify([resolve(io.workingFolder, source), ...verifierArgs(io, options)], print)
  }
  if (!exporting) throw usage('Name an export.')
  const folder = await mkdtemp(join(tmpdir(), 'reeve-ledger-'))
  try {
    using client = clientFor(io, options)
    const file = join(folder, 'export')
    const seen = await save(client.lines(exporting), file)
    const known = await knownFrom(io, client, folder, seen, options)
    const code = await parts.verify([file, ...verifierArgs(io, options), ...known], print)
    if (code === 0) await remember(io, client, seen)
    return code
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function verifierArgs(io: Io, options: VerifyOptions): string[] {
  const file = (path: string) => resolve(io.workingFolder, path)
  const key = (text: string) => (/^[^+\s]+\+[0-9a-f]{8}\+/.test(text) ? text : file(text))
  return [
    ...options.key.flatMap((text) => ['--key', key(text)]),
    ...options.checkpoint.flatMap((path) => ['--checkpoint', file(path)]),
    ...options.witness.flatMap((text) => ['--witness', key(text)]),
    ...(options.quorum === undefined ? [] : ['--quorum', options.quorum]),
    ...(options.entry === undefined ? [] : ['--entry', options.entry]),
    ...options.acceptLoss.flatMap((origin) => ['--accept-loss', origin]),
    ...(options.json ? ['--json'] : []),
  ]
}

/** What stood in an export while it was written down. */
type Seen = { readonly keys: string[]; checkpoint: string | undefined }

const Marker = z.union([
  z.object({ reeveLedgerExport: z.number(), key: z.string().max(1000) }),
  z.object({ checkpoint: z.string().max(10_000) }),
])

async function save(lines: AsyncIterable<string>, path: string): Promise<Seen> {
  const seen: Seen = { keys: [], checkpoint: undefined }
  const file = createWriteStream(path, { mode: 0o600 })
  // An error of the file ends the writing below by its own throw.
  const failed = once(file, 'error').then(([error]: unknown[]) => {
    throw new Failure(EXIT.usage, `The export cannot be written: ${error instanceof Error ? error.message : 'unknown'}`)
  })
  failed.catch(() => undefined)
  for await (const line of lines) {
    note(seen, line)
    if (!file.write(`${line}\n`)) await Promise.race([once(file, 'drain'), failed])
  }
  file.end()
  await Promise.race([once(file, 'finish'), failed])
  return seen
}

function note(seen: Seen, line: string): void {
  if (!line.startsWith('{"reeveLedgerExport"') && !line.startsWith('{"checkpoint"')) return
  const marker = Marker.safeParse(parsed(line))
  if (!marker.success) return
  if ('key' in marker.data) seen.keys.push(marker.data.key)
  else seen.checkpoint = marker.data.checkpoint
}

/** The keys and the checkpoint that were kept when this server was verified before; at the first time the server's word for its key. */
async function knownFrom(
  io: Io,
  client: Client,
  folder: string,
  seen: Seen,
  options: VerifyOptions,
): Promise<string[]> {
  const kept = keptFor(io, client)
  const args: string[] = []
  if (options.key.length === 0) {
    const keys = kept?.ledgerKeys ?? seen.keys
    if (!kept?.ledgerKeys) {
      tell(io, 'The key of the log was taken from the server itself. Compare it with one you got in another way:')
      for (const key of keys) tell(io, `  ${key}`)
    }
    args.push(...keys.flatMap((key) => ['--key', key]))
  }
  if (kept?.checkpoint !== undefined) {
    const file = join(folder, 'checkpoint')
    await writeFile(file, kept.checkpoint, { mode: 0o600 })
    args.push('--checkpoint', file)
  }
  return args
}

function keptFor(io: Io, { connection }: Client) {
  return connection.context === undefined ? undefined : readContexts(io).contexts[connection.context]
}

/** The next time, the ledger must hold at least this: who cut it off or forked it would be found. */
async function remember(io: Io, client: Client, { keys, checkpoint }: Seen): Promise<void> {
  const { context: name } = client.connection
  if (name === undefined || checkpoint === undefined) return
  let isKept = false
  await changeContexts(io, (before) => {
    const kept = before.contexts[name]
    isKept = kept !== undefined
    if (!kept) return before
    const ledgerKeys = kept.ledgerKeys ?? keys
    return { ...before, contexts: { ...before.contexts, [name]: { ...kept, ledgerKeys, checkpoint } } }
  })
  if (!isKept) return
  tell(io, 'The last checkpoint is kept: the next time, truncation and fork are found by it.')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
