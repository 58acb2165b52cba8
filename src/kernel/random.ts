import { randomBytes } from 'node:crypto'
import type { Clock } from './clock.ts'
import { uuidv7 } from './ids.ts'

/** Where unpredictable bytes come from; tests pass a seeded one. */
export type Random = {
  bytes(sizeBytes: number): Buffer
}

export const systemRandom: Random = { bytes: (sizeBytes) => drawn(sizeBytes) }

/** Asking the generator costs two microseconds whatever is asked for, so small draws share one. */
const POOL_BYTES = 4096
const SHARED_BYTES = 64

let pool = Buffer.alloc(0)
let at = 0

function drawn(sizeBytes: number): Buffer {
  if (sizeBytes > SHARED_BYTES) return randomBytes(sizeBytes)
  if (at + sizeBytes > pool.length) {
    pool = randomBytes(POOL_BYTES)
    at = 0
  }
  const bytes = Buffer.from(pool.subarray(at, at + sizeBytes))
  // What was given out is nobody else's to find here.
  pool.fill(0, at, at + sizeBytes)
  at += sizeBytes
  return bytes
}

/** A new identifier: sorts by birth. */
export function newId(clock: Clock, random: Random): string {
  return uuidv7(clock.now().getTime(), random.bytes(10))
}
