import { z } from 'zod'
import { EgressFailed, type Egress } from './egress.ts'
import { ROOT_KEY_BOUND_TO, type RootKeyForm } from './root-key.ts'
import { readSecretFile } from './secret-file.ts'
import { Secret } from './secret.ts'

export type TransitKey = {
  readonly address: string
  readonly mount: string
  readonly key: string
  readonly tokenFile: string
}

const PREFIX = 'vault:v'
const BOUND_TO = Buffer.from(ROOT_KEY_BOUND_TO).toString('base64')

const Encrypted = z.object({ data: z.object({ ciphertext: z.string().startsWith(PREFIX).max(1_000) }) })
const Decrypted = z.object({ data: z.object({ plaintext: z.base64().max(1_000) }) })

/** The root key wrapped by the transit engine of OpenBao or Vault: whoever has the file alone has nothing. */
export function transitForm(egress: Egress, at: TransitKey): RootKeyForm {
  return {
    async wrap(key) {
      const body = { plaintext: key.reveal().toString('base64'), associated_data: BOUND_TO }
      return (await ask(egress, at, 'encrypt', body, Encrypted)).data.ciphertext
    },
    unwrap(text) {
      if (!text.startsWith(PREFIX)) return undefined
      return ask(egress, at, 'decrypt', { ciphertext: text, associated_data: BOUND_TO }, Decrypted).then(
        ({ data }) => new Secret(Buffer.from(data.plaintext, 'base64')),
      )
    },
  }
}

async function ask<T extends z.ZodType>(
  egress: Egress,
  at: TransitKey,
  act: 'encrypt' | 'decrypt',
  body: object,
  answer: T,
): Promise<z.output<T>> {
  const url = `${at.address.replace(/\/$/, '')}/v1/${at.mount}/${act}/${at.key}`
  const token = await readSecretFile(at.tokenFile, 'the token')
  const headers = { 'x-vault-token': token.reveal(), 'content-type': 'application/json' }
  const types = ['application/json']
  const asked = await egress
    .ask(url, { method: 'POST', headers, body: JSON.stringify(body), types })
    .catch((error: unknown) => {
      if (!(error instanceof EgressFailed)) throw error
      throw new Error(
        `the root key is wrapped by ${at.address} and that does not answer: ${error.message} Nothing opens until it does`,
        { cause: error },
      )
    })
  if (asked.status === 403) {
    throw new Error(`${at.address} refuses the token in ${at.tokenFile}: give one that may ${act} with ${at.key}`)
  }
  if (asked.status === 404) throw new Error(`${at.address} has no transit engine at ${at.mount}, or it is sealed`)
  if (asked.status !== 200) {
    throw new Error(
      `${at.address} could not ${act} the root key with ${at.key} (${asked.status}): the key there is another one or was deleted, or the file was changed; restore the one from your backup`,
    )
  }
  const parsed = answer.safeParse(JSON.parse(asked.body.toString('utf8')))
  if (!parsed.success) throw new Error(`${at.address} did not answer as a transit engine does`)
  return parsed.data
}
