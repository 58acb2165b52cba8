import type { Ed25519Signer } from '../../kernel/crypto.ts'
import { parseCheckpoint } from './checkpoint.ts'
import { KeyType, cosignedMessage, formatSignature, parseNote, verifierKey } from './note.ts'
import { InvalidProof } from './invalid.ts'

/**
 * A witness's signature line over a signed checkpoint: it says that at this time this was the largest consistent tree the
 * witness had seen of that log. Whoever calls this has checked that (and persisted it) before.
 */
export function cosign(name: string, signer: Ed25519Signer, signedCheckpoint: string, atSeconds: number): string {
  if (!Number.isSafeInteger(atSeconds) || atSeconds <= 0) throw new InvalidProof('A cosignature has a time in seconds.')
  const { text } = parseNote(signedCheckpoint)
  parseCheckpoint(text)
  const key = verifierKey(name, KeyType.cosignature, signer.publicKey)
  // C2SP tlog-cosignature: u64 timestamp, big-endian, then the signature.
  const stamp = Buffer.alloc(8)
  stamp.writeBigUInt64BE(BigInt(atSeconds))
  const bytes = Buffer.concat([stamp, signer.sign(cosignedMessage(text, atSeconds))])
  return formatSignature({ name, id: key.id, bytes })
}
