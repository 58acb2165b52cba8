import type { Finding, Summary } from '../../scanner/contract.ts'
import { scan, type Source } from '../../scanner/scanner.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { CredentialFingerprint, Missing } from '../connector.ts'
import type { Marks } from './marks.ts'

/** Distinct places of secrets that are told of one scope. A tree with more is made of them. */
const PLACES_MAX = 50_000
const LINES_MAX = 20

/** One secret at one path. */
export type Place = {
  readonly finding: Finding
  readonly path: string
  readonly lines: number[]
  readonly value: string
  readonly marks: readonly CredentialFingerprint[]
  readonly isInNewest: boolean
  readonly facts: Readonly<Record<string, string | number | null>>
}

/** Where secrets are gathered of one scope: what was found, and what was not looked at. */
export type Gathered = {
  readonly places: Map<string, Place>
  /** Reasons of the scanner with how often. */
  readonly unread: Map<string, number>
  isCut: boolean
}

export function nothing(): Gathered {
  return { places: new Map(), unread: new Map(), isCut: false }
}

export type Seeing = { readonly clock: Clock; readonly marks: Marks; readonly withNames: boolean }
/** How the place of a finding is told: its path, whether the newest state has it, and what else is known of it. */
type Tell = (finding: Finding) => Pick<Place, 'path' | 'isInNewest' | 'facts'>

/** Scans and keeps each secret once for each path. Comments in the source allow nothing: who writes code does not decide what is inventoried. */
export async function gather(
  { clock, marks, withNames }: Seeing,
  into: Gathered,
  source: Source,
  tell: Tell,
  signal: AbortSignal,
): Promise<Summary> {
  const onUnread = ({ reason }: { readonly reason: string }) =>
    void into.unread.set(reason, (into.unread.get(reason) ?? 0) + 1)
  const options = { clock, fingerprints: marks.fingerprints, withComments: false, withNames, onUnread, signal }
  const scanning = scan(source, options)
  for (;;) {
    signal.throwIfAborted()
    const next = await scanning.next()
    if (next.done) return next.value
    keep(into, next.value, tell(next.value), marks)
  }
}

function keep(into: Gathered, finding: Finding, told: ReturnType<Tell>, marks: Marks): void {
  const value = finding.fingerprint?.value
  if (value === undefined) return
  const path = marks.without(told.path)
  const key = `${value} ${path}`
  const before = into.places.get(key)
  if (before) {
    if (before.lines.length < LINES_MAX) before.lines.push(finding.line)
    if (told.isInNewest && !before.isInNewest) into.places.set(key, { ...before, isInNewest: true })
  } else if (into.places.size >= PLACES_MAX) into.isCut = true
  else into.places.set(key, { ...told, finding, path, value, marks: marks.known(), lines: [finding.line] })
}

/** It lacks what was committed before; what it has is whole. */
export const SHALLOW = 'the clone is shallow, what was committed before is not in it'

/** What holds nothing that could be read, whoever reads it: its being there takes nothing from what was read. */
const CLOSED = /^it is (?:a link|no file)|is not unpacked$|^it is under a password$/

/** What could not be looked at; `isDark` when secrets may stand there that were seen before. */
export function unseen({ unread, isCut }: Gathered): { readonly isDark: boolean; readonly missing: Missing[] } {
  const missing = [...unread]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([reason, count]): Missing => {
      const isDenied = reason.startsWith('permission')
      return {
        what: count === 1 ? 'one place' : `${count} places`,
        why: reason,
        ...(isDenied && { permission: 'reading it, for the account of the node' }),
      }
    })
  if (isCut) missing.push({ what: 'part of the secrets', why: `there are more than ${PLACES_MAX} places` })
  return { missing, isDark: isCut || [...unread.keys()].some((reason) => reason !== SHALLOW && !CLOSED.test(reason)) }
}
