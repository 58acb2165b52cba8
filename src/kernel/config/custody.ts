import { z } from 'zod'

const name = z.string().regex(/^[A-Za-z0-9_-]{1,63}$/, 'letters, digits, dashes and underscores')

/** Where the root key is kept, under which everything sealed is sealed. */
export const Custody = z.strictObject({
  kind: z
    .enum(['file', 'transit'])
    .default('file')
    .describe(
      'How the root key stands in `<home>/keys/root.key`: in clear, or wrapped by the transit engine of OpenBao or Vault.',
    ),
  address: z
    .string()
    .max(2_000)
    .regex(/^https?:\/\/[^/?#]+\/?$/, 'write an address such as https://bao.example.org:8200')
    .optional()
    .describe('Of OpenBao or Vault. Asked under the rules of `egress`.'),
  mount: name.default('transit').describe('Where its transit engine is mounted.'),
  key: name.optional().describe('Name of the key there; `aes256-gcm96` or another kind that takes associated data.'),
  tokenFile: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe(
      'File with a token that may encrypt and decrypt with that key, and nothing else. Readable by this user alone.',
    ),
})
