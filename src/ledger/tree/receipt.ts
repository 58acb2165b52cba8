import { decodeBase64, decodeCount, decodeHash } from './base64.ts'
import { openCheckpoint } from './checkpoint.ts'
import type { OpenedCheckpoint } from './checkpoint.ts'
import { leafHash } from './hash.ts'
import { InvalidProof } from './invalid.ts'
import { NOTE_MAX_BYTES } from './note.ts'
import type { VerifierKey } from './note.ts'
import { verifyInclusion } from './proof.ts'

/** A portable proof that an entry is in the log: C2SP tlog-proof. Needs nobody and nothing but the log's key to verify. */
export type Receipt = {
  readonly index: number
  readonly path: readonly Buffer[]
  /** The signed note, word for word. */
  readonly checkpoint: string
  /** Opaque and not authenticated: a hint, never evidence. */
  readonly extra?: Buffer
}

const HEADER = 'c2sp.org/tlog-proof@v1'

/** A path in a tree of 2^53 leaves has no more hashes than this. */
const PATH_MAX = 63

/** The receipt as text, for a file that ends in `.tlog-proof`. */
export function encodeReceipt({ index, path, checkpoint, extra }: Receipt): string {
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${extra.toString('base64')}`]),
    `index ${index}`,
    ...path.map((hash) => hash.toString('base64')),
    '',
  ]
  return `${lines.join('\n')}\n${checkpoint}`
}

/** Reads a receipt and verifies nothing. */
export function parseReceipt(text: string): Receipt {
  if (text.length > 2 * NOTE_MAX_BYTES) throw new InvalidProof('The receipt is too long.')
  const split = text.indexOf('\n\n')
  if (split === -1) throw new InvalidProof('The receipt has no checkpoint.')
  const [header, ...lines] = text.slice(0, split).split('\n')
  if (header !== HEADER) throw new InvalidProof('This is not a tlog-proof.')
  const extra = lines[0]?.startsWith('extra ') ? decodeBase64((lines.shift() ?? '').slice('extra '.length)) : undefined
  const index = lines.shift() ?? ''
  if (!index.startsWith('index ')) throw new InvalidProof('The receipt names no index.')
  if (lines.length > PATH_MAX) throw new InvalidProof('The path is too long.')
  return {
    index: decodeCount(index.slice('index '.length)),
    path: lines.map(decodeHash),
    checkpoint: text.slice(split + 2),
    ...(extra === undefined ? {} : { extra }),
  }
}

export type Trust = {
  readonly logKey: VerifierKey
  readonly witnesses?: readonly VerifierKey[]
  /** How many of the witnesses must have cosigned; 0 when left out. */
  readonly quorum?: number
}

/** Throws unless the receipt proves that these exact bytes are an entry of the trusted log. */
export function verifyReceipt(receipt: Receipt, entry: Uint8Array, trust: Trust): OpenedCheckpoint {
  const tree = openCheckpoint(receipt.checkpoint, trust.logKey, trust.witnesses)
  if (countCosigners(tree) < (trust.quorum ?? 0)) throw new InvalidProof('Too few witnesses cosigned the checkpoint.')
  if (!verifyInclusion(leafHash(entry), receipt.index, tree, receipt.path)) {
    throw new InvalidProof('The entry is not in the log at this index.')
  }
  return tree
}

// One key under two names is one witness.
function countCosigners(tree: OpenedCheckpoint): number {
  return new Set(tree.witnessedBy.map(({ key }) => key.publicKey.toString('hex'))).size
}
