/**
 * Secrets in source trees, histories, archives and logs. A SIMD prefilter passes over the bytes once and names the places where the literal of a
 * rule may stand; only there the rule is tried. A finding never holds the secret: a keyed fingerprint stands for it, and four characters show it.
 * Nothing is asked of anybody: validity is what the secret itself says.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Fingerprints } from '../kernel/fingerprint.ts'
import { Secret } from '../kernel/secret.ts'
import { nextTurn } from '../kernel/timer.ts'
import type { AllowList } from './allow/allow-list.ts'
import { OWASP_ID, type Finding, type Summary, type Unread } from './contract.ts'
import { budgetFor, LIMITS, type Limits } from './decode/limits.ts'
import { openEngine, type Engine } from './engine/engine.ts'
import { examine, type Located, type Looker } from './examine.ts'
import { readHistory, readPushed, readStaged, type FromHistory } from './input/history.ts'
import { readStream } from './input/stream.ts'
import { readTree } from './input/tree.ts'
import { plainValue, previewOf } from './redact.ts'
import { rules } from './rules/rules.ts'

export type Source =
  /** A folder or a file. */
  | { readonly kind: 'tree'; readonly root: string; /** What its paths are shown under. */ readonly shownAs?: string }
  /** Every blob that the repository holds, each once. */
  | { readonly kind: 'history'; readonly repository: string }
  /** What would be committed. */
  | { readonly kind: 'staged'; readonly repository: string }
  /** What a push brings: lines of `old new ref` as git gives them to a pre-receive hook. */
  | { readonly kind: 'push'; readonly repository: string; readonly updates: string }
  /** A log, standard input, or anything else that comes in pieces. */
  | { readonly kind: 'stream'; readonly name: string; readonly chunks: AsyncIterable<Uint8Array> }
  | { readonly kind: 'bytes'; readonly name: string; readonly bytes: Buffer }

export type ScanOptions = {
  readonly clock: Clock
  readonly fingerprints: Fingerprints
  readonly allow?: AllowList
  /** Whether a comment in the source may allow what stands beside it; true unless said otherwise, and never for a push. */
  readonly withComments?: boolean
  /** Whether random values are found by the name they are assigned to; true unless said otherwise. */
  readonly withNames?: boolean
  readonly limits?: Partial<Limits>
  readonly onUnread?: (unread: Unread) => void
  readonly signal?: AbortSignal
}

/** Unread paths that a summary lists; a source that is denied as a whole has millions. */
const LISTED = 1000
/** Bytes after which others get their turn. */
const TURN_BYTES = 8 * 1024 ** 2

/** Bytes of files after which it is asked whether others wait. */
const STEP_BYTES = 1024 ** 2

let shared: Engine | undefined

/** The engine over all rules, made once: its tables take some milliseconds. */
function engineOfAllRules(): Engine {
  shared ??= openEngine(rules)
  return shared
}

/**
 * Findings as they are met; the generator's value at the end says what was looked at. What cannot be read is told and never ends the scan; a
 * repository that git refuses throws.
 */
export async function* scan(source: Source, options: ScanOptions): AsyncGenerator<Finding, Summary> {
  const summary = { files: 0, bytes: 0, binary: 0, unread: new Array<Unread>(), unreadCount: 0, allowed: 0 }
  const unread = (path: string, reason: string) => {
    const one = { path: path.slice(0, 4200), reason }
    summary.unreadCount += 1
    if (summary.unread.length < LISTED) summary.unread.push(one)
    options.onUnread?.(one)
  }
  const looker: Looker = {
    engine: engineOfAllRules(),
    limits: { ...LIMITS, ...options.limits },
    now: options.clock.now(),
    unread,
    withNames: options.withNames ?? true,
    counted: summary,
  }
  let sinceTurn = 0
  const look = function* (bytes: Buffer, path: string): Generator<Located> {
    summary.files += 1
    summary.bytes += bytes.length
    sinceTurn += bytes.length
    yield* examine(looker, bytes, path, budgetFor(looker.limits, bytes.length))
  }
  const isAllowed = (located: Located, finding: Finding) => {
    const byComment = (options.withComments ?? source.kind !== 'push') && hasComment(located.lines, finding.rule)
    if (!byComment && !options.allow?.allows(finding)) return false
    summary.allowed += 1
    return true
  }
  for await (const { located, history } of locatedIn(source, looker, look)) {
    if (sinceTurn > TURN_BYTES) {
      options.signal?.throwIfAborted()
      await nextTurn()
      sinceTurn = 0
    }
    if (!located) continue
    const finding = findingOf(located, options.fingerprints, history)
    if (!isAllowed(located, finding)) yield finding
  }
  return summary
}

type Step = { readonly located?: Located; readonly history?: FromHistory }
type Look = (bytes: Buffer, path: string) => Generator<Located>

async function* locatedIn(source: Source, looker: Looker, look: Look): AsyncGenerator<Step> {
  switch (source.kind) {
    case 'bytes':
      for (const located of look(source.bytes, source.name)) yield { located }
      return
    case 'tree':
      yield* filesOf(source, looker, look)
      return
    case 'stream':
      yield* readStream(source.name, source.chunks, look)
      return
    case 'history':
      yield* readHistory(source.repository, looker, look)
      return
    case 'staged':
      yield* readStaged(source.repository, looker, look)
      return
    case 'push':
      yield* readPushed(source.repository, source.updates, looker, look)
  }
}

function* filesOf({ root, shownAs }: Extract<Source, { kind: 'tree' }>, looker: Looker, look: Look): Generator<Step> {
  const mostBytes = looker.limits.entryBytes * 8
  const shown = (path: string, isRoot: boolean) =>
    shownAs === undefined ? path : isRoot ? shownAs : `${shownAs}/${path}`
  const unread = (path: string, reason: string) => looker.unread(shown(path, path === '.'), reason)
  let sinceStep = 0
  for (const { path, bytes, cutAt, isRoot } of readTree(root, mostBytes, unread)) {
    const name = shown(path, isRoot)
    if (cutAt !== undefined) looker.unread(name, `only its first ${cutAt} bytes were looked at`)
    for (const located of look(bytes, name)) yield { located }
    // A step costs as much as a small file.
    sinceStep += bytes.length
    if (sinceStep < STEP_BYTES) continue
    sinceStep = 0
    yield {}
  }
}

/** `reeve-scan:allow` on its line or the one before, with a rule's id or for any. */
function hasComment(lines: string, rule: string): boolean {
  return [...lines.matchAll(/reeve-scan:allow(?:\s+([a-z0-9-]{2,60}))?/g)].some(
    ([, only]) => only === undefined || only === rule,
  )
}

function findingOf(located: Located, fingerprints: Fingerprints, history: FromHistory | undefined): Finding {
  const { match, path, line, column, endLine, endColumn, decodedBy } = located
  const value = plainValue(match.secret, match.rule)
  const { rule, what, issuer, confidence, verdict } = match
  return {
    rule,
    what,
    issuer,
    owasp: OWASP_ID,
    confidence,
    validity: verdict.validity,
    detail: verdict.detail ?? null,
    fingerprint: fingerprints.of(new Secret(value)),
    preview: previewOf(value.toString('latin1')),
    path: path.slice(0, 4096),
    line,
    column,
    endLine,
    endColumn,
    decodedBy: [...decodedBy],
    commit: history?.commit ?? null,
    author: history?.author ?? null,
    committedAt: history?.at ?? null,
    isPresent: history?.isPresent ?? null,
    importedFrom: null,
  }
}
