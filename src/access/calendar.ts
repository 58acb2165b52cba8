import { parse } from 'yaml'
import { z } from 'zod'
import { ENVIRONMENTS } from '../identities/contract.ts'
import { Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { isInWeek, weekly } from '../kernel/weekly.ts'

/** What windows and freezes are about. */
type Place = { readonly target: string; readonly environment: string }

/** When changes may and may not be made: read from a file at start, as teams and policies are. All times are UTC. */
export type Calendar = {
  /** The change window for this place: an open one if there is one, else one that is closed now, else undefined. */
  window(place: Place, now: Date): { readonly id: string; readonly open: boolean } | undefined
  isFrozen(place: Place, now: Date): boolean
}

/** No windows and no freezes: what a policy asks a window for stays shut. */
export const emptyCalendar: Calendar = { window: () => undefined, isFrozen: () => false }

export class CalendarInvalid extends Error {
  override readonly name = 'CalendarInvalid'
}

const places = {
  targets: z.array(Slug).max(1000).optional(),
  environments: z.array(z.enum(ENVIRONMENTS)).max(4).optional(),
}
const Window = z.strictObject({ ...places, ...weekly })
const Freeze = z.strictObject({ ...places, from: Instant, until: Instant })
const CalendarFile = z.strictObject({
  windows: z.record(Slug, Window).default({}),
  freezes: z.record(Slug, Freeze).default({}),
})

/** Reads a calendar from YAML. Throws `CalendarInvalid` with the place of the fault. */
export function parseCalendar(text: string): Calendar {
  let value: unknown
  try {
    value = parse(text, { uniqueKeys: true, maxAliasCount: 0 })
  } catch (error) {
    throw new CalendarInvalid('the calendar is not YAML, or a name stands there twice', { cause: error })
  }
  const parsed = CalendarFile.safeParse(value ?? {})
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'top'}: ${issue.message}`)
    throw new CalendarInvalid(`the calendar is not valid. ${issues.slice(0, 10).join('; ')}`)
  }
  const { windows, freezes } = parsed.data
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

/** Without targets and environments it is about every place; with both, about any that either names. */
function isAbout(span: { targets?: string[] | undefined; environments?: string[] | undefined }, place: Place): boolean {
  if (!span.targets && !span.environments) return true
  return (span.targets?.includes(place.target) ?? false) || (span.environments?.includes(place.environment) ?? false)
}
