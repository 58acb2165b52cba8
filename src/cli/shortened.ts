import type { AccessRequest } from '../access/contract.ts'
import { tell, type Io } from './io.ts'
import { printable } from './output/printable.ts'
import { isRecord } from './record.ts'
import { durationText } from './values.ts'

/** Says when a grant is shorter than somebody asked for, so that nobody counts on time they do not have. */
export function tellShortened(io: Io, request: Pick<AccessRequest, 'askedTtlSeconds' | 'ttlSeconds'>): void {
  const { askedTtlSeconds: asked, ttlSeconds: allowed } = request
  if (allowed < asked) tell(io, `You asked for ${durationText(asked)}; the policies allow ${durationText(allowed)}.`)
}

/** What an answer wants its caller to know, beside the answer. */
export function tellWarnings(io: Io, answer: unknown): void {
  const warnings: unknown = isRecord(answer) ? answer['warnings'] : undefined
  if (!Array.isArray(warnings)) return
  for (const warning of warnings) if (typeof warning === 'string') tell(io, printable(warning))
}
