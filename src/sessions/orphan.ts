import { runningSha256 } from '../kernel/crypto.ts'
import { FrameBroken, unpackFrames } from './recording/frames.ts'
import { playFrom } from './recording/read.ts'
import type { RecordingStore } from './recording/store.ts'
import type { Closing } from './row.ts'

type Left = Pick<Closing, 'operations' | 'rows' | 'sizeBytes' | 'recordingBytes' | 'recordingSha256'>

const NOTHING: Left = { operations: 0, rows: 0, sizeBytes: 0, recordingBytes: 0, recordingSha256: null }

/** What a dead node left of a recording: the digest of its whole frames, and what they hold. Nothing where this node cannot read it. */
export async function orphanDigest(store: RecordingStore, name: string | null): Promise<Left> {
  const stored = name === null ? undefined : await store.read(name, 0)
  if (name === null || !stored) return NOTHING
  const digest = runningSha256()
  let recordingBytes = 0
  const left = { operations: 0, rows: 0, sizeBytes: 0 }
  try {
    for await (const { content } of unpackFrames(stored)) {
      digest.update(content)
      recordingBytes += content.length
    }
    for await (const line of (await playFrom(store, name, { storedBytes: 0 })) ?? []) {
      if (line.type !== 'operation') continue
      left.operations += 1
      left.rows += line.rows
      left.sizeBytes += line.sizeBytes
    }
  } catch (error) {
    // What reads is kept; the damage is found by the comparison with the seals.
    if (!(error instanceof FrameBroken)) throw error
  }
  return { ...left, recordingBytes, recordingSha256: digest.digestSoFar() }
}
