import { decodeCount, decodeHash } from './base64.ts'
import { InvalidProof } from './invalid.ts'
import { KeyType, formatNote, parseNote, parseSignatures, signNote, verifyNote } from './note.ts'
import type { NoteSigner, Verified, VerifierKey } from './note.ts'

/** A tree head as the log states it: C2SP tlog-checkpoint. */
export type Checkpoint = {
  /** The log's permanent name, also its key's name. */
  readonly origin: string
  readonly size: number
  readonly root: Buffer
  readonly extensions: readonly string[]
}

/** The text that is signed. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  const text = [origin, size, root.toString('base64'), ...extensions].map((line) => `${line}\n`).join('')
  const back = parseCheckpoint(text)
  if (back.origin !== origin || back.extensions.length !== extensions.length) {
    throw new InvalidProof('A line of a checkpoint holds no line break.')
  }
  return text
}

/** Reads the text and verifies nothing. */
export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith('\n')) throw new InvalidProof('A checkpoint ends with a newline.')
  const lines = text.slice(0, -1).split('\n')
  const [origin, size, root, ...extensions] = lines
  if (origin === undefined || size === undefined || root === undefined || lines.includes('')) {
    throw new InvalidProof('A checkpoint has an origin, a size, a root, and no empty line.')
  }
  return { origin, size: decodeCount(size), root: decodeHash(root), extensions }
}

/** The checkpoint as a note that its log (and whoever else) signed. */
export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): string {
  return signNote(formatCheckpoint(checkpoint), signers)
}

export type OpenedCheckpoint = Checkpoint & { readonly witnessedBy: readonly Verified[] }

/** Verifies a signed checkpoint: throws unless this log's own key signed it for its own origin. */
export function openCheckpoint(
  signed: string,
  logKey: VerifierKey,
  witnesses: readonly VerifierKey[] = [],
): OpenedCheckpoint {
  const note = parseNote(signed)
  const checkpoint = parseCheckpoint(note.text)
  if (checkpoint.origin !== logKey.name) throw new InvalidProof('The checkpoint is of another log.')
  if (logKey.type !== KeyType.ed25519) throw new InvalidProof('A log signs with an Ed25519 key of type 1.')
  if (verifyNote(note, [logKey]).length === 0) throw new InvalidProof('The checkpoint is not signed by its log.')
  const cosigners = witnesses.filter((key) => key.type === KeyType.cosignature)
  return { ...checkpoint, witnessedBy: verifyNote(note, cosigners) }
}

/**
 * The checkpoint with the signature lines of these witnesses added to it, as `add-checkpoint` answers them; lines of unknown
 * keys are dropped, and one that does not verify throws.
 */
export function addCosignatures(signed: string, lines: string, witnesses: readonly VerifierKey[]): string {
  const note = parseNote(signed)
  const offered = parseSignatures(lines).filter(({ name, id }) =>
    witnesses.some((key) => key.type === KeyType.cosignature && key.name === name && key.id === id),
  )
  const added = offered.filter(
    (one, at) => offered.findIndex((other) => other.name === one.name && other.id === one.id) === at,
  )
  verifyNote({ text: note.text, signatures: offered }, witnesses)
  const kept = note.signatures.filter(({ name, id }) => !added.some((one) => one.name === name && one.id === id))
  return formatNote({ text: note.text, signatures: [...kept, ...added] })
}
