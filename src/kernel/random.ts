import { randomBytes } from 'node:crypto'
import type { Clock } from './clock.ts'
import { uuidv7 } from './ids.ts'

/** Where unpredictable bytes come from; tests pass a seeded one. */
export type Random = {
  bytes(sizeBytes: number): Buffer
}

export const systemRandom: Random = { bytes: (sizeBytes) => randomBytes(sizeBytes) }

/** A new identifier: sorts by birth. */
export function newId(clock: Clock, random: Random): string {
  return uuidv7(clock.now().getTime(), random.bytes(10))
}
