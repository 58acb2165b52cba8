import type { AccessRequest } from '../access/contract.ts'
import { tell, type Io } from './io.ts'
import { durationText } from './values.ts'

/** Says when a grant is shorter than somebody asked for, so that nobody counts on time they do not have. */
export function tellShortened(io: Io, request: Pick<AccessRequest, 'askedTtlSeconds' | 'ttlSeconds'>): void {
  const { askedTtlSeconds: asked, ttlSeconds: allowed } = request
  if (allowed < asked) tell(io, `You asked for ${durationText(asked)}; the policies allow ${durationText(allowed)}.`)
}
