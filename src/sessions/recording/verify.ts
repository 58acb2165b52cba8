/** A recording against its digests in the ledger: edited, cut, appended to, or as it was sealed. */
import { runningSha256 } from '../../kernel/crypto.ts'
import type { Verification } from '../contract.ts'
import { FrameBroken, unpackFrames } from './frames.ts'
import type { RecordingStore } from './store.ts'

/** A digest the ledger holds, of the first `bytes` of the recording's lines. The last one of an ended session is final. */
export type LedgerSeal = { readonly bytes: number; readonly sha256: string; readonly isFinal: boolean }

type Found = Omit<Verification, 'sessionId' | 'seals' | 'sealedBytes'>

/** Recomputes the digest over what is stored and compares it at every seal. */
export async function verifyRecording(
  store: RecordingStore,
  name: string,
  seals: readonly LedgerSeal[],
  /** Its node died: a frame that was being written may hang on it. */
  mayBeTorn = false,
): Promise<Found> {
  const stored = await store.read(name, 0)
  if (!stored) return verdict('missing', 'The store holds no such recording.', 0, null, 0)
  const ordered = [...seals].sort((a, b) => a.bytes - b.bytes)
  const digest = runningSha256()
  let bytes = 0
  let storedBytes = 0
  let framedBytes = 0
  let operations = 0
  let proven = 0
  let next = 0
  const say = (kind: Found['verdict'], detail: string) =>
    verdict(kind, detail, bytes, digest.digestSoFar().toString('hex'), operations)
  async function* counted(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      storedBytes += piece.length
      yield piece
    }
  }
  try {
    for await (const frame of unpackFrames(counted(stored))) {
      framedBytes += frame.storedBytes
      operations += countOperations(frame.content)
      let rest = frame.content
      for (; next < ordered.length; next += 1) {
        const seal = ordered[next]
        if (!seal || seal.bytes > bytes + rest.length) break
        digest.update(rest.subarray(0, seal.bytes - bytes))
        rest = rest.subarray(seal.bytes - bytes)
        bytes = seal.bytes
        if (digest.digestSoFar().toString('hex') !== seal.sha256) {
          return say(
            'altered',
            `Between byte ${proven} and byte ${seal.bytes} the lines are not those that were sealed.`,
          )
        }
        proven = seal.bytes
      }
      digest.update(rest)
      bytes += rest.length
    }
  } catch (error) {
    if (!(error instanceof FrameBroken)) throw error
    return say('altered', `After byte ${bytes} the recording does not read: ${error.message}.`)
  }
  const last = ordered.at(-1)
  if (last && bytes < last.bytes) return say('cut', `It ends at byte ${bytes}; ${last.bytes} bytes were sealed.`)
  if (!ordered.some((seal) => seal.isFinal)) {
    return say('unfinished', `As sealed up to byte ${proven}; the session has not been sealed to its end.`)
  }
  if (bytes > proven || (storedBytes > framedBytes && !mayBeTorn))
    return say('altered', `After byte ${proven} something was added.`)
  return say('intact', `All ${proven} bytes are as they were sealed.`)
}

function verdict(
  kind: Found['verdict'],
  detail: string,
  recordingBytes: number,
  recordingSha256: string | null,
  operations: number,
): Found {
  return { verdict: kind, detail, recordingBytes, recordingSha256, operations }
}

const OPERATION = Buffer.from('{"type":"operation"')

function countOperations(content: Buffer): number {
  let count = 0
  for (let at = content.indexOf(OPERATION); at !== -1; at = content.indexOf(OPERATION, at + 1)) {
    // Inside a statement the quotes are escaped, so only a line's own start matches here.
    if (at === 0 || content[at - 1] === 0x0a) count += 1
  }
  return count
}
