import { z } from 'zod'
import { ENVIRONMENTS } from '../identities/contract.ts'
import { sha256 } from '../kernel/crypto.ts'
import { DocumentInvalid, readDocument } from '../kernel/document.ts'
import { Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { isInWeek, weekly } from '../kernel/weekly.ts'

/** What windows and freezes are about. */
type Place = { readonly target: string; readonly environment: string }

/** When changes may and may not be made. Which windows and freezes there are is a version of the rules. All times are UTC. */
export type Calendar = {
  /** The change window for this place: an open one if there is one, else one that is closed now, else undefined. */
  window(place: Place, now: Date): { readonly id: string; readonly open: boolean } | undefined
  isFrozen(place: Place, now: Date): boolean
}

/** No windows and no freezes: what a policy asks a window for stays shut. */
export const emptyCalendar: Calendar = { window: () => undefined, isFrozen: () => false }

/** The calendar that counts now. */
export type LiveCalendar = Calendar & { swap(next: Calendar): void }

export function liveCalendar(first: Calendar): LiveCalendar {
  let now = first
  return {
    window: (place, at) => now.window(place, at),
    isFrozen: (place, at) => now.isFrozen(place, at),
    swap: (next) => {
      now = next
    },
  }
}

export class CalendarInvalid extends DocumentInvalid {
  override readonly name = 'CalendarInvalid'
}

const MOST_SPANS = 1000
const places = {
  targets: z.array(Slug).max(1000).optional(),
  environments: z.array(z.enum(ENVIRONMENTS)).max(4).optional(),
}
const Window = z.strictObject({ ...places, ...weekly })
const Freeze = z
  .strictObject({ ...places, from: Instant, until: Instant })
  .refine(({ from, until }) => from < until, 'until is after from')
const few = (spans: object) => Object.keys(spans).length <= MOST_SPANS
const CalendarFile = z.strictObject({
  windows: z.record(Slug, Window).refine(few, `there are more than ${MOST_SPANS} windows`).default({}),
  freezes: z.record(Slug, Freeze).refine(few, `there are more than ${MOST_SPANS} freezes`).default({}),
})

/** A calendar as it was written, found valid. */
export type CalendarDocument = z.output<typeof CalendarFile>

/** Reads a calendar from YAML. Throws `CalendarInvalid` with the place of each fault. */
export function parseCalendar(text: string): Calendar {
  return calendarFrom(readCalendar(text, 'the calendar'))
}

/** What a text says of windows and freezes. Throws `CalendarInvalid`. */
export function readCalendar(text: string, name: string): CalendarDocument {
  try {
    return readDocument(text, name, CalendarFile).value
  } catch (error) {
    if (!(error instanceof DocumentInvalid)) throw error
    throw new CalendarInvalid(error.message, error.faults)
  }
}

/** A calendar to be asked, from what was written. */
export function calendarFrom({ windows, freezes }: CalendarDocument): Calendar {
  return {
    window(place, now) {
      const named = Object.entries(windows)
        .filter(([, window]) => isAbout(window, place))
        .map(([id, window]) => ({ id, open: isInWeek(window, now) }))
      return named.find((window) => window.open) ?? named[0]
    },
    isFrozen: (place, now) =>
      Object.values(freezes).some((freeze) => isAbout(freeze, place) && freeze.from <= now && now < freeze.until),
  }
}

/** One hash per meaning, however it is written. */
export function calendarSha256({ windows, freezes }: CalendarDocument): string {
  const lines = [
    ...Object.entries(windows).map(([name, window]) => `window ${name}: ${spanWords(window)}`),
    ...Object.entries(freezes).map(([name, freeze]) => `freeze ${name}: ${spanWords(freeze)}`),
  ]
  return sha256(lines.sort().join('\n')).toString('hex')
}

/** What another calendar would change, a sentence each. */
export function calendarDifference(before: CalendarDocument, after: CalendarDocument): string[] {
  return [...spanLines('freeze', before.freezes, after.freezes), ...spanLines('window', before.windows, after.windows)]
}

type Span = CalendarDocument['windows'][string] | CalendarDocument['freezes'][string]

function spanLines(
  what: string,
  before: Readonly<Record<string, Span>>,
  after: Readonly<Record<string, Span>>,
): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().flatMap((name) => {
    const [was, is] = [wordsIn(before, name), wordsIn(after, name)]
    if (was === is) return []
    if (is === undefined) return [`${what} ${name} is gone: ${was}`]
    return [was === undefined ? `${what} ${name} is new: ${is}` : `${what} ${name} becomes: ${is}; it was: ${was}`]
  })
}

function wordsIn(spans: Readonly<Record<string, Span>>, name: string): string | undefined {
  const span = Object.hasOwn(spans, name) ? spans[name] : undefined
  return span && spanWords(span)
}

function spanWords(span: Span): string {
  const { targets, environments } = span
  const where = [...(targets ?? []).toSorted(), ...(environments ?? []).map((each) => `all of ${each}`).toSorted()]
  const when =
    'until' in span
      ? `from ${span.from.toISOString()} until ${span.until.toISOString()}`
      : `${WEEK.filter((day) => span.days.includes(day)).join(' ')}, ${span.from} to ${span.to}`
  return `${when}, ${where.length === 0 ? 'everywhere' : `at ${where.join(', ')}`}`
}

const WEEK = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

/** Without targets and environments it is about every place; with both, about any that either names. */
function isAbout(span: { targets?: string[] | undefined; environments?: string[] | undefined }, place: Place): boolean {
  if (!span.targets && !span.environments) return true
  return (span.targets?.includes(place.target) ?? false) || (span.environments?.includes(place.environment) ?? false)
}
