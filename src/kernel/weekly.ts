import { z } from 'zod'

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'write HH:MM, from 00:00 to 24:00')

/** A time that comes back each week, as people write it in a file. All times are UTC. */
export const weekly = {
  days: z
    .array(z.enum(DAYS))
    .min(1)
    .max(7)
    .default([...DAYS]),
  from: TimeOfDay.default('00:00'),
  to: TimeOfDay.default('24:00').describe('earlier than from: on the next day'),
}
type Weekly = z.output<z.ZodObject<typeof weekly>>

/** Whether `now` is in it; the last instant is not. */
export function isInWeek(week: Weekly, now: Date): boolean {
  const minute = now.getUTCHours() * 60 + now.getUTCMinutes()
  const [from, to] = [minutesOf(week.from), minutesOf(week.to)]
  const isDay = (offset: number) => week.days.some((day) => DAYS.indexOf(day) === (now.getUTCDay() + offset + 7) % 7)
  if (from < to) return isDay(0) && from <= minute && minute < to
  // Over midnight: it belongs to the day it began on.
  return (isDay(0) && from <= minute) || (isDay(-1) && minute < to)
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3))
}
