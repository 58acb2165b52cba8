/** What `reeve scan` does: reads a source, holds it against what is known, writes a report. Needs no server. */
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../kernel/clock.ts'
import { fingerprintsUnder, type Fingerprints } from '../kernel/fingerprint.ts'
import { systemRandom } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'
import { readAllowList, type AllowList } from './allow/allow-list.ts'
import { against, baselineOf, readBaseline } from './allow/baseline.ts'
import type { Finding, Summary } from './contract.ts'
import { formatReport, type Format } from './report/formats.ts'
import { importFindings } from './report/import.ts'
import { scan, type ScanOptions, type Source } from './scanner.ts'

export type ScanRequest = {
  readonly sources: readonly Source[]
  /** Reports of other scanners, taken in beside what is found. */
  readonly imports: readonly string[]
  readonly format: Format
  readonly keyFile?: string
  readonly allowFile?: string
  readonly baselineFile?: string
  readonly writeBaselineTo?: string
  readonly withComments?: boolean
  readonly withNames?: boolean
  readonly workingFolder: string
  readonly version: string
}

/** Where a report goes, and what concerns whoever waits. */
export type ScanOutput = { readonly report: (text: string) => void; readonly tell: (sentence: string) => void }

/** 0 nothing found, 1 something was, 2 it could not be done. */
export type ScanExit = 0 | 1 | 2

/** Scans and reports. What cannot be done ends with a sentence and 2, never with a stack. */
export async function runScan(request: ScanRequest, output: ScanOutput): Promise<ScanExit> {
  try {
    return await scanAndReport(request, output)
  } catch (error) {
    output.tell(error instanceof Error ? error.message : 'The scan failed.')
    return 2
  }
}

async function scanAndReport(request: ScanRequest, { report, tell }: ScanOutput): Promise<ScanExit> {
  const { baselineFile, writeBaselineTo, keyFile, format, version } = request
  if ((baselineFile ?? writeBaselineTo) !== undefined && keyFile === undefined) {
    throw new Error('A baseline needs --key-file: without one each run has its own fingerprints.')
  }
  const fingerprints = await fingerprintsOf(keyFile)
  if (keyFile === undefined) {
    tell('No --key-file: fingerprints are under a key of this run only and compare with nothing else.')
  }
  const allow = await allowListOf(request)
  const { findings, summary } = await collect(request, fingerprints, allow)
  if (writeBaselineTo !== undefined) {
    await writeFile(writeBaselineTo, `${JSON.stringify(baselineOf(findings, fingerprints.keyId), undefined, 2)}\n`)
    tell(`${findings.length} findings are written down as known.`)
    return summary.unreadCount > 0 ? told(summary, tell) : 0
  }
  let left: readonly Finding[] = findings
  if (baselineFile !== undefined) {
    const compared = against(readBaseline(await readFile(baselineFile, 'utf8'), fingerprints.keyId), findings)
    left = compared.added
    tell(`${compared.known} findings were known; ${compared.removed.length} of the baseline are gone.`)
    for (const { rule, path } of compared.removed.slice(0, 50)) tell(`  gone: ${rule} ${JSON.stringify(path)}`)
  }
  report(formatReport(format, { findings: left, summary, version, isKeyKept: keyFile !== undefined }))
  return left.length > 0 ? 1 : 0
}

/** A baseline that leaves something out says so. */
function told(summary: Summary, tell: ScanOutput['tell']): 0 {
  tell(`${summary.unreadCount} could not be read, or not whole: what is in them is not in the baseline.`)
  return 0
}

async function collect(request: ScanRequest, fingerprints: Fingerprints, allow: AllowList | undefined) {
  const options: ScanOptions = {
    clock: systemClock,
    fingerprints,
    ...(allow && { allow }),
    ...(request.withComments !== undefined && { withComments: request.withComments }),
    ...(request.withNames !== undefined && { withNames: request.withNames }),
  }
  const findings: Finding[] = []
  let summary: Summary = { files: 0, bytes: 0, binary: 0, unread: [], unreadCount: 0, allowed: 0 }
  for (const source of request.sources) {
    const scanned = scan(source, options)
    let step = await scanned.next()
    for (; step.done !== true; step = await scanned.next()) findings.push(step.value)
    summary = joined(summary, step.value)
  }
  for (const file of request.imports) findings.push(...importFindings(await readFile(file, 'utf8'), fingerprints))
  return { findings, summary }
}

function joined(a: Summary, b: Summary): Summary {
  return {
    files: a.files + b.files,
    bytes: a.bytes + b.bytes,
    binary: a.binary + b.binary,
    unread: [...a.unread, ...b.unread],
    unreadCount: a.unreadCount + b.unreadCount,
    allowed: a.allowed + b.allowed,
  }
}

/** Fewer bytes could be guessed. */
const FEWEST_KEY_BYTES = 32
const MOST_KEY_BYTES = 4096

async function fingerprintsOf(keyFile: string | undefined): Promise<Fingerprints> {
  if (keyFile === undefined) return fingerprintsUnder(new Secret(systemRandom.bytes(FEWEST_KEY_BYTES)))
  const file = await open(keyFile, 'r')
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MOST_KEY_BYTES + 1), 0, MOST_KEY_BYTES + 1, 0)
    if (bytesRead < FEWEST_KEY_BYTES || bytesRead > MOST_KEY_BYTES) {
      throw new Error(`A key file has between ${FEWEST_KEY_BYTES} and ${MOST_KEY_BYTES} random bytes.`)
    }
    return fingerprintsUnder(new Secret(Buffer.from(buffer.subarray(0, bytesRead))))
  } finally {
    await file.close()
  }
}

const ALLOW_FILE = '.reeve-scan.yaml'

/**
 * The file that was named; or the one in the working folder, but for a push: whoever pushes would decide what is found.
 */
async function allowListOf({ allowFile, workingFolder, sources }: ScanRequest): Promise<AllowList | undefined> {
  if (allowFile !== undefined) return readAllowList(await readFile(allowFile, 'utf8'), allowFile)
  if (sources.some(({ kind }) => kind === 'push')) return undefined
  try {
    return readAllowList(await readFile(join(workingFolder, ALLOW_FILE), 'utf8'), ALLOW_FILE)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
