/** What systems that speak HTTP and JSON answer, read with care. */
import type { z } from 'zod'
import { lineCutIn } from '../kernel/driver-line.ts'
import type { Page, ScopeReport } from './scope.ts'
import { Unreadable } from './unreadable.ts'

/** A name within a path; undefined where no path can hold it. */
export function segment(name: string): string | undefined {
  return /^\.{0,2}$/.test(name) ? undefined : encodeURIComponent(name.toWellFormed())
}

export function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new Unreadable('the answer is not JSON', { cause: error })
  }
}

export function parsed<T>(shape: z.ZodType<T>, told: unknown): T {
  const { data } = shape.safeParse(told)
  if (data === undefined) throw new Unreadable('the server answered in another way than its API has it')
  return data
}

const OTHERWISE = 'the server answers in another way than it was asked'

/** A reading over a driver, whose rows are as the server gives them: where they are not as they were asked for, it says so. */
export async function* asAsked(pages: AsyncGenerator<Page, ScopeReport>): AsyncGenerator<Page, ScopeReport> {
  try {
    return yield* pages
  } catch (error) {
    throw oddAnswer(error) ?? error
  }
}

/** A server that answers too much, or otherwise than it was asked, as a sentence; undefined for every other failure. */
export function oddAnswer(error: unknown): Unreadable | undefined {
  if (lineCutIn(error)?.why === 'too-much')
    return new Unreadable('the server answers more than any catalog holds', { cause: error })
  return isOdd(error) ? new Unreadable(OTHERWISE, { cause: error }) : undefined
}

/** A cut line, or what the driver or we could not take apart. */
function isOdd(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error instanceof TypeError || error instanceof RangeError || !!lineCutIn(error) || isOdd(error.cause)
}
