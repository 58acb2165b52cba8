import { z } from 'zod'
import { KEY_PLACES } from '../signing-keys.ts'

const path = z.string().min(1).max(4096)
const name = z.string().regex(/^[A-Za-z0-9_-]{1,63}$/, 'letters, digits, dashes and underscores')

/** Where the root key is kept, under which everything sealed is sealed. */
export const Custody = z.strictObject({
  kind: z
    .enum(['file', 'transit', 'pkcs11', 'kms'])
    .default('file')
    .describe(
      'How the root key stands in `<home>/keys/root.key`: in clear, or wrapped by the transit engine of OpenBao or Vault, by a PKCS #11 token, or by AWS KMS.',
    ),
  address: z
    .string()
    .max(2_000)
    .regex(/^https?:\/\/[^/?#]+\/?$/, 'write an address such as https://bao.example.org:8200')
    .optional()
    .describe('Of OpenBao or Vault. Asked under the rules of `egress`.'),
  mount: name.default('transit').describe('Where its transit engine is mounted.'),
  key: name.optional().describe('Name of the key there; `aes256-gcm96` or another kind that takes associated data.'),
  tokenFile: path
    .optional()
    .describe(
      'File with a token that may encrypt and decrypt with that key, and nothing else. Readable by this user alone.',
    ),
})

/** Where keys that sign are made. */
export const Keys = z.strictObject({
  kind: z
    .enum(KEY_PLACES)
    .default('sealed')
    .describe(
      'Where new keys are made that sign tokens, certificates and SVIDs: here, sealed in the database, or in a PKCS #11 token, or in AWS KMS, which they never leave. Keys from before go on signing until they are rotated.',
    ),
})

/** A hardware security module, or whatever else has such a module. */
export const Pkcs11 = z.strictObject({
  module: path.optional().describe('Library that speaks to the token, such as `/usr/lib/softhsm/libsofthsm2.so`.'),
  token: z
    .string()
    .max(1_000)
    .regex(/^pkcs11:[^?]+$/, 'write a name such as pkcs11:token=reeve')
    .optional()
    .describe('Which token, as RFC 7512 names it: `token`, `serial`, `model`, `manufacturer` or `slot-id`.'),
  pinFile: path.optional().describe('File with the PIN of its user. Readable by this user alone.'),
  rootKey: name
    .optional()
    .describe(
      'Label of the AES key that wraps the root key. Made in the token when a root key is made and there is none.',
    ),
})

/** Keys in AWS. */
export const Kms = z.strictObject({
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d{1,2}$/, 'write a region such as eu-central-1')
    .optional()
    .describe('Region of AWS KMS.'),
  address: z
    .string()
    .max(2_000)
    .regex(/^https?:\/\/[^/?#]+\/?$/, 'write an address such as https://kms.eu-central-1.amazonaws.com')
    .optional()
    .describe('Another address than the region’s own, such as of a VPC endpoint. Asked under the rules of `egress`.'),
  credentialsFile: path
    .optional()
    .describe('Shared credentials file of AWS, read at each call. Readable by this user alone.'),
  profile: z.string().min(1).max(100).default('default').describe('Section of that file.'),
  rootKey: z
    .string()
    .max(2_048)
    .regex(/^[A-Za-z0-9_:/-]+$/, 'write the id, the ARN or the alias of a key')
    .optional()
    .describe('Id, ARN or `alias/…` of the symmetric key that wraps the root key.'),
})
