/** What systems that speak HTTP and JSON answer, read with care. */
import type { z } from 'zod'
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
