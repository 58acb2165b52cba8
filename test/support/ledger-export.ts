import { ed25519Signer } from '../../src/kernel/crypto.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { EMPTY_FRONTIER, appendLeaves } from '../../src/ledger/tree/append.ts'
import { signCheckpoint } from '../../src/ledger/tree/checkpoint.ts'
import { writeExport } from '../../src/ledger/tree/export.ts'
import type { ExportLeaf, ExportLog } from '../../src/ledger/tree/export.ts'
import { leafHash } from '../../src/ledger/tree/hash.ts'
import { formatVerifierKey, noteSigner } from '../../src/ledger/tree/note.ts'
import type { NoteSigner } from '../../src/ledger/tree/note.ts'

/** A signer whose key is made of one repeated byte. */
export function testSigner(origin: string, fill = 1): NoteSigner {
  return noteSigner(origin, ed25519Signer(new Secret(Buffer.alloc(32, fill))))
}

/** The signed checkpoint of these entries, as the log itself would sign it. */
export function checkpointOf(signer: NoteSigner, entries: readonly Buffer[]): string {
  const { root } = appendLeaves(EMPTY_FRONTIER, entries.map(leafHash))
  return signCheckpoint({ origin: signer.key.name, size: entries.length, root, extensions: [] }, [signer])
}

/** A log of these entries with a signed checkpoint at each of these sizes. */
export function testLog(signer: NoteSigner, leaves: readonly ExportLeaf[], sizes: readonly number[]): ExportLog {
  const entries = leaves.map((leaf) => leaf.entry)
  return { key: signer.key, leaves, checkpoints: sizes.map((size) => checkpointOf(signer, entries.slice(0, size))) }
}

/** The export as text, and the verifier key of each log in it. */
export async function exportText(...logs: ExportLog[]): Promise<{ text: string; keys: string[] }> {
  const pieces = await Array.fromAsync(writeExport(logs))
  return { text: pieces.join(''), keys: logs.map((log) => formatVerifierKey(log.key)) }
}

/** Bytes in pieces of a size that fits nothing. */
export async function* inPieces(text: string | Buffer, sizeBytes = 1009): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += sizeBytes) yield bytes.subarray(at, at + sizeBytes)
}
