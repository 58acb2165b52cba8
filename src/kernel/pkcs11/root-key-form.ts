import { randomBytes } from 'node:crypto'
import { ROOT_KEY_BOUND_TO, type RootKeyForm } from '../root-key.ts'
import { Secret } from '../secret.ts'
import type { Token } from './token.ts'

const PREFIX = 'pkcs11:v1:'
const IV_BYTES = 12

/** The root key wrapped by an AES key that never leaves its token: whoever has the file alone has nothing. */
export function pkcs11Form(token: Token, label: string): RootKeyForm {
  const boundTo = Buffer.from(ROOT_KEY_BOUND_TO, 'utf8')
  return {
    async wrap(key) {
      const iv = randomBytes(IV_BYTES)
      const sealed = await token
        .use(async (session) => {
          await session.makeAesKey(label)
          return session.encrypt(label, key.reveal(), boundTo, iv)
        })
        .catch((error: unknown) => {
          throw notWrapped(error)
        })
      return `${PREFIX}${sealed.toString('base64')}`
    },
    unwrap(text) {
      if (!text.startsWith(PREFIX)) return undefined
      const sealed = Buffer.from(text.slice(PREFIX.length), 'base64')
      return token
        .use((session) => session.decrypt(label, sealed, boundTo))
        .then(
          (plain) => new Secret(plain),
          (error: unknown) => {
            throw notOpened(label, error)
          },
        )
    },
  }
}

function notWrapped(error: unknown): Error {
  return new Error(`the root key could not be wrapped: ${error instanceof Error ? error.message : 'it failed'}`, {
    cause: error,
  })
}

function notOpened(label: string, error: unknown): Error {
  return new Error(
    `the root key is wrapped by ${label} and does not open: ${error instanceof Error ? error.message : 'it failed'}; the token has to be there with its key, and the file as it was written`,
    { cause: error },
  )
}
