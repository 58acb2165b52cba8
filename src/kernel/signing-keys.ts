/**
 * Where keys that sign live: in the database, sealed, or in somebody else's keeping, who signs when asked and never gives them away. What is
 * kept of a key is sealed in either case, so that nobody who may write to the database puts another key in its place.
 */
import {
  newSigningKey,
  openSigningKey,
  openVerifyingKey,
  jwkThumbprint,
  type PublicJwk,
  type SigningAlgorithm,
  type SigningKey,
} from './signing-key.ts'
import type { Log } from './log.ts'
import { Secret } from './secret.ts'

export const KEY_PLACES = ['sealed', 'pkcs11', 'kms'] as const
/** Sealed in the database, in a PKCS #11 token, in AWS KMS. */
type KeyPlace = (typeof KEY_PLACES)[number]

/** Somebody who keeps keys of P-256 and signs with them. */
export type KeyHolder = {
  readonly kind: Exclude<KeyPlace, 'sealed'>
  /** Whether a reference is one of this holder's. */
  isHeld(reference: string): boolean
  /** A new key that signs and nothing else; `label` is for people. */
  make(label: string): Promise<{ readonly reference: string; readonly publicJwk: PublicJwk }>
  /** The 64 bytes of a signature with SHA-256 (RFC 7518 §3.4). */
  sign(reference: string, message: Uint8Array): Promise<Buffer>
  /** Nothing where it is gone. */
  destroy(reference: string): Promise<void>
}

/** A key that was just made, and what has to be kept of it, sealed. */
export type MadeKey = {
  readonly kept: Secret<Buffer>
  readonly key: SigningKey
}

export type SigningKeys = {
  /** Where new ones are made. */
  readonly place: KeyPlace
  make(algorithm: SigningAlgorithm, label: string): Promise<MadeKey>
  /** Ready to sign. Throws a sentence where what is kept signs otherwise than the published key verifies. */
  open(kept: Secret<Buffer>, publicJwk: PublicJwk): Promise<SigningKey>
  /** Destroys a key where it is held; one that is sealed dies with its row. */
  discard(kept: Secret<Buffer>): Promise<void>
}

/** PKCS #8 in DER is a sequence; a reference is text, and none begins with this. */
const SEQUENCE = 0x30
const PROBE = Buffer.from('reeve: the key that is held signs as the published one verifies', 'utf8')

/** Keys are made by `holder`, or here where there is none; `others` still sign with what they hold. */
export function openSigningKeys(holder?: KeyHolder, others: readonly KeyHolder[] = []): SigningKeys {
  const holders = holder ? [holder, ...others] : others
  return {
    place: holder?.kind ?? 'sealed',
    async make(algorithm, label) {
      if (!holder) {
        const kept = newSigningKey(algorithm)
        return { kept, key: openSigningKey(kept) }
      }
      if (algorithm !== 'ES256') throw new Error(`keys in ${holder.kind} sign ES256 only`)
      const { reference, publicJwk } = await holder.make(label)
      try {
        const key = await proven(holder, reference, publicJwk)
        return { kept: new Secret(Buffer.from(reference, 'utf8')), key }
      } catch (error) {
        await holder.destroy(reference)
        throw error
      }
    },
    async open(kept, publicJwk) {
      if (kept.reveal()[0] === SEQUENCE) return openSigningKey(kept)
      const { holder: found, reference } = heldBy(holders, kept)
      return proven(found, reference, publicJwk)
    },
    async discard(kept) {
      if (kept.reveal()[0] === SEQUENCE) return
      const { holder: found, reference } = heldBy(holders, kept)
      await found.destroy(reference)
    },
  }
}

/** Keys that are sealed in the database, and no others. */
export const sealedKeys: SigningKeys = openSigningKeys()

function heldBy(holders: readonly KeyHolder[], kept: Secret<Buffer>) {
  const reference = kept.reveal().toString('utf8')
  const holder = holders.find((one) => one.isHeld(reference))
  if (holder) return { holder, reference }
  throw new Error(
    `a signing key is held elsewhere (${reference.slice(0, 200)}), and the configuration says nothing of who holds it: set pkcs11 or kms as it was`,
  )
}

async function proven(holder: KeyHolder, reference: string, publicJwk: PublicJwk): Promise<SigningKey> {
  const signature = await holder.sign(reference, PROBE)
  if (!openVerifyingKey(publicJwk)(PROBE, signature)) {
    throw new Error(`the key ${reference} is another one than was published: restore the one that was, or rotate`)
  }
  return {
    algorithm: 'ES256',
    publicJwk,
    kid: jwkThumbprint(publicJwk).toString('base64url'),
    sign: (message) => holder.sign(reference, message),
  }
}

/** Of keys that nobody uses any more; what could not be destroyed is named, for somebody to do it by hand. */
export async function discardKeys(
  { keys, log }: { readonly keys: SigningKeys; readonly log: Log },
  all: readonly Secret<Buffer>[],
): Promise<void> {
  for (const kept of all) {
    await keys.discard(kept).catch((error: unknown) => {
      log.warn({ err: error }, 'a signing key that is not used any more could not be destroyed where it is held')
    })
  }
}
