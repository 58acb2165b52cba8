#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { verifyExport } from './check.ts'
import type { Report } from './report.ts'
import { UsageError } from './report.ts'

export { verifyExport } from './check.ts'
export type { VerifyOptions } from './check.ts'
export { UsageError } from './report.ts'
export type { Finding, Report } from './report.ts'

const USAGE = `reeve-verify <export> --key <verifier key or file> [options]

  --key          of the log: name+id+base64, or a file with one a line; once for each log in the export
  --checkpoint   a file with a signed checkpoint kept from earlier: checks truncation and fork (repeatable)
  --witness      a witness's verifier key or a file with them (repeatable)
  --quorum N     how many witnesses must have cosigned the last checkpoint; all when left out
  --entry X      prints the entry of that index, or the entries that hold that id
  --accept-loss  the origin of a log whose declared loss in a restore you know and accept (repeatable)
  --json         the report as JSON
  --help         this text

Ends with 0 if everything holds, 1 if anything does not, 2 if it could not be tried.`

const KEYS_FILE_MAX_BYTES = 1_048_576

/** Runs the command line and gives its exit code. */
export async function main(args: readonly string[], print: (text: string) => void): Promise<0 | 1 | 2> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        key: { type: 'string', multiple: true, default: [] },
        checkpoint: { type: 'string', multiple: true, default: [] },
        witness: { type: 'string', multiple: true, default: [] },
        quorum: { type: 'string' },
        entry: { type: 'string' },
        'accept-loss': { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) {
      print(USAGE)
      return 0
    }
    const [source] = positionals
    if (source === undefined || positionals.length > 1) throw new UsageError('Name one export.')
    const { quorum, entry } = values
    if (quorum !== undefined && !/^\d{1,3}$/.test(quorum)) throw new UsageError('--quorum is a number.')
    const report = await verifyExport({
      source,
      keys: values.key.flatMap(readKeys),
      checkpoints: values.checkpoint.map(readSmall),
      witnesses: values.witness.flatMap(readKeys),
      acceptLoss: values['accept-loss'],
      ...(quorum === undefined ? {} : { quorum: Number(quorum) }),
      ...(entry === undefined ? {} : { entry }),
    })
    print(values.json ? JSON.stringify(report, undefined, 2) : describe(report))
    return report.ok ? 0 : 1
  } catch (error) {
    const isUsage = error instanceof UsageError || (error instanceof Error && 'code' in error)
    if (!isUsage) throw error
    print(`${printable(error.message)}\n\n${USAGE}`)
    return 2
  }
}

function readKeys(given: string): string[] {
  if (/^[^+\s]+\+[0-9a-f]{8}\+/.test(given)) return [given]
  return readSmall(given)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

function readSmall(path: string): string {
  const bytes = readFileSync(path)
  if (bytes.length > KEYS_FILE_MAX_BYTES) throw new UsageError(`${path} is too large to be what it should be.`)
  return bytes.toString('utf8')
}

function describe(report: Report): string {
  const lines = [
    ...report.logs.map(
      (log) =>
        `log ${log.origin}: ${log.entries} entries, ${log.checkpoints} checkpoints, root ${log.root || 'not signed'}`,
    ),
    ...(report.openings > 0 ? [`${report.openings} disclosed fields match their commitments`] : []),
    ...report.entries.map((entry) => `entry ${entry.index} of ${entry.origin} (${entry.sha256}): ${entry.data}`),
    ...report.checked.map((what) => `checked: ${what}`),
    ...report.notChecked.map((what) => `NOT CHECKED: ${what}`),
    ...report.findings.map((finding) => `FAILED (${finding.kind}): ${finding.message}`),
    report.ok ? 'OK: the entries are those that were signed, in their order.' : 'The export does NOT verify.',
  ]
  return lines.map(printable).join('\n')
}

// What a file says must not steer the terminal of whoever checks it.
function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2), (text) => console.log(text))
}
