import { z } from 'zod'
import { ROOT_KEY_BOUND_TO, type RootKeyForm } from '../root-key.ts'
import { Secret } from '../secret.ts'
import { KmsRefused, type Kms } from './client.ts'

const PREFIX = 'aws-kms:v1:'
/** AWS binds it to the ciphertext and writes it into its own log; key policies may ask for it. */
const CONTEXT = { purpose: ROOT_KEY_BOUND_TO }

const Encrypted = z.object({ CiphertextBlob: z.base64().min(1).max(10_000) })
const Decrypted = z.object({ Plaintext: z.base64().max(1_000) })

/** The root key wrapped by a key of AWS KMS: whoever has the file alone has nothing. */
export function kmsForm(kms: Kms, keyId: string): RootKeyForm {
  return {
    async wrap(key) {
      const input = { KeyId: keyId, Plaintext: key.reveal().toString('base64'), EncryptionContext: CONTEXT }
      return `${PREFIX}${(await kms.ask('Encrypt', input, Encrypted)).CiphertextBlob}`
    },
    unwrap(text) {
      if (!text.startsWith(PREFIX)) return undefined
      // With the key named, nothing that another key wrapped is opened.
      const input = { KeyId: keyId, CiphertextBlob: text.slice(PREFIX.length), EncryptionContext: CONTEXT }
      return kms.ask('Decrypt', input, Decrypted).then(
        ({ Plaintext }) => new Secret(Buffer.from(Plaintext, 'base64')),
        (error: unknown) => {
          throw notOpened(keyId, error)
        },
      )
    },
  }
}

function notOpened(keyId: string, error: unknown): Error {
  const why = error instanceof Error ? error.message : 'it failed'
  const rest = error instanceof KmsRefused ? '' : '. Nothing opens until it does'
  return new Error(`the root key is wrapped by ${keyId} of AWS KMS and does not open: ${why}${rest}`, { cause: error })
}
