import type { Command } from 'commander'
import { normalize, resolve } from 'node:path'
import { usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { printable } from '../output/printable.ts'
import type { Parts, ScanSource } from '../parts.ts'

const FORMATS = ['table', 'json', 'sarif'] as const

type Options = {
  readonly history?: boolean
  readonly staged?: boolean
  readonly preReceive?: boolean
  readonly stdin?: boolean
  readonly format: string
  readonly keyFile?: string
  readonly allow?: string
  readonly baseline?: string
  readonly writeBaseline?: string
  readonly comments: boolean
  readonly names: boolean
  readonly import: string[]
}

/** `reeve scan`: secrets in files, histories and logs on this machine. Asks no server and no issuer. */
export function addScanCommand(program: Command, io: Io, parts: Parts, exit: (code: number) => void): void {
  const each = (value: string, before: string[]) => [...before, value]
  program
    .command('scan')
    .description(
      'Finds secrets in files, a repository’s history, what is staged or pushed, or a log. Ends with 0 if there are none, 1 if there are, 2 if it could not look.',
    )
    .argument('[path...]', 'files and folders; the folder one is in if nothing else is said')
    .option('--history', 'every object of the repositories at these paths, with who brought it and when (needs git)')
    .option('--staged', 'what would be committed, for a pre-commit hook (needs git)')
    .option('--pre-receive', 'what a push brings, from the lines on standard input, for a pre-receive hook (needs git)')
    .option('--stdin', 'standard input, such as the log of a pipeline')
    .option('--format <format>', 'table, json or sarif', 'table')
    .option('--key-file <file>', 'key of the fingerprints, 32 random bytes or more, the same for all that is compared')
    .option('--allow <file>', 'an allow-list; .reeve-scan.yaml of this folder otherwise, but not for a push')
    .option('--baseline <file>', 'findings that are known: only others count')
    .option('--write-baseline <file>', 'writes what is found down as known')
    .option('--no-comments', 'comments do not allow anything')
    .option('--no-names', 'known formats only, no random values by the name they are assigned to')
    .option('--import <report>', 'takes in what gitleaks, TruffleHog or SARIF say; once for each', each, [])
    .action(async (paths: string[], options: Options) => {
      exit(await parts.scan(await requestOf(io, paths, options), outputOf(io)))
    })
}

function outputOf(io: Io) {
  return {
    report: (text: string) => void io.stdout.write(`${text}\n`),
    tell: (sentence: string) => tell(io, printable(sentence)),
  }
}

async function requestOf(io: Io, paths: readonly string[], options: Options) {
  const format = FORMATS.find((one) => one === options.format)
  if (!format) throw usage(`--format is one of ${FORMATS.join(', ')}.`)
  const file = (path: string) => resolve(io.workingFolder, path)
  return {
    sources: await sourcesOf(io, paths, options),
    imports: options.import.map(file),
    format,
    ...(options.keyFile !== undefined && { keyFile: file(options.keyFile) }),
    ...(options.allow !== undefined && { allowFile: file(options.allow) }),
    ...(options.baseline !== undefined && { baselineFile: file(options.baseline) }),
    ...(options.writeBaseline !== undefined && { writeBaselineTo: file(options.writeBaseline) }),
    ...(!options.comments && { withComments: false }),
    ...(!options.names && { withNames: false }),
    workingFolder: io.workingFolder,
  }
}

async function sourcesOf(io: Io, paths: readonly string[], options: Options): Promise<ScanSource[]> {
  const ways = [options.history, options.staged, options.preReceive, options.stdin].filter(Boolean).length
  if (ways > 1) throw usage('--history, --staged, --pre-receive and --stdin exclude each other.')
  if ((options.staged || options.preReceive || options.stdin) && paths.length > 0) {
    throw usage('--staged, --pre-receive and --stdin take no paths.')
  }
  const here = paths.map((path) => ({ root: resolve(io.workingFolder, path), shownAs: shownAs(path) }))
  if (here.length === 0 && options.import.length === 0) here.push({ root: io.workingFolder, shownAs: undefined })
  if (options.staged) return [{ kind: 'staged', repository: io.workingFolder }]
  if (options.preReceive) return [{ kind: 'push', repository: io.workingFolder, updates: await io.readStdin() }]
  if (options.stdin) return [{ kind: 'stdin' }]
  if (options.history) return here.map(({ root }) => ({ kind: 'history', repository: root }))
  return here.map(({ root, shownAs }) => ({ kind: 'tree', root, ...(shownAs !== undefined && { shownAs }) }))
}

/** The path as it was typed, so that a finding names a file that can be opened from here. */
function shownAs(path: string): string | undefined {
  const plain = normalize(path).replace(/[/\\]$/, '')
  return plain === '.' ? undefined : plain
}
