import { decodeCount, decodeHash } from './base64.ts'
import { InvalidProof } from './invalid.ts'
import { NOTE_MAX_BYTES } from './note.ts'

/** The body of a witness's `add-checkpoint`: C2SP tlog-witness. */
export type AddCheckpoint = {
  /** The size this witness last cosigned, 0 if none. */
  readonly oldSize: number
  /** From the old size to the checkpoint's; empty when the old size is 0. */
  readonly proof: readonly Buffer[]
  /** The signed note, word for word. */
  readonly checkpoint: string
}

/** C2SP tlog-witness: the client must not send more. */
const PROOF_MAX = 63

export function encodeAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  if (proof.length > PROOF_MAX) throw new InvalidProof(`A request has at most ${PROOF_MAX} hashes.`)
  return `old ${oldSize}\n${proof.map((hash) => `${hash.toString('base64')}\n`).join('')}\n${checkpoint}`
}

/** Reads a body and verifies nothing but its form. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  if (body.length > 2 * NOTE_MAX_BYTES) throw new InvalidProof('The request is too long.')
  const split = body.indexOf('\n\n')
  if (split === -1) throw new InvalidProof('The request has no checkpoint.')
  const [old = '', ...hashes] = body.slice(0, split).split('\n')
  if (!old.startsWith('old ')) throw new InvalidProof('The request names no old size.')
  if (hashes.length > PROOF_MAX) throw new InvalidProof(`A request has at most ${PROOF_MAX} hashes.`)
  const oldSize = decodeCount(old.slice('old '.length))
  return { oldSize, proof: hashes.map(decodeHash), checkpoint: body.slice(split + 2) }
}

/** A 409's body: the size the witness holds. */
export function parseSizeConflict(body: string): number {
  if (!body.endsWith('\n')) throw new InvalidProof('A size ends with a newline.')
  return decodeCount(body.slice(0, -1))
}
