import { Instant } from '../../kernel/instant.ts'
import { readAside } from '../aside/document.ts'
import {
  calendarDifference,
  calendarFrom,
  calendarSha256,
  emptyCalendar,
  type Calendar,
  type CalendarDocument,
  type LiveCalendar,
} from '../calendar.ts'
import type { Made, RuleKind } from './kind.ts'

type CalendarRules = Made & { readonly document: CalendarDocument; readonly calendar: Calendar }

const NOTHING: CalendarDocument = { windows: {}, freezes: {} }

/** Change windows and freezes: when changes may be made, and when not. */
export function calendarRules(live: LiveCalendar): RuleKind<CalendarRules> {
  let now: CalendarRules = { sha256: 'none', document: NOTHING, calendar: emptyCalendar }
  return {
    name: 'calendar',
    type: 'Calendar',
    called: 'the calendar',
    make: async (files) => {
      const document = await readAside({ kind: 'calendar', text: files[0]?.text ?? '' })
      return { sha256: calendarSha256(document), document, calendar: calendarFrom(document) }
    },
    count: ({ document: { windows, freezes } }) => Object.keys(windows).length + Object.keys(freezes).length,
    current: () => now,
    take: async (next) => {
      now = next
      live.swap(next.calendar)
    },
    difference: (before, after) => calendarDifference(before.document, after.document),
    world: async ({ document }) => ({ calendar: asIfInForce(now.document, document), [Symbol.dispose]: () => {} }),
    check: async () => {},
    onActivated: async () => {},
    mayFollow: ({ files }) => (files[0]?.text ?? '').trim() === EMPTY_CALENDAR,
  }
}

const ALWAYS = { from: Instant.parse('1970-01-01T00:00:00Z'), until: Instant.parse('9999-12-31T23:59:59Z') }

/** Of an installation whose configuration names no calendar. */
export const EMPTY_CALENDAR = 'windows: {}'

/**
 * For a simulation: a freeze to come has touched nothing yet, so one that is new counts as if it had been in force all the time. That says what it
 * would refuse.
 */
function asIfInForce(before: CalendarDocument, after: CalendarDocument): Calendar {
  const freezes = Object.entries(after.freezes).map(([name, freeze]) => {
    const isNew = !Object.hasOwn(before.freezes, name)
    return [name, isNew ? { ...freeze, ...ALWAYS } : freeze] as const
  })
  return calendarFrom({ ...after, freezes: Object.fromEntries(freezes) })
}
