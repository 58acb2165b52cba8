import { createHash, randomBytes } from 'node:crypto'
import type { KeyHolder } from '../signing-keys.ts'
import type { Token } from './token.ts'
import { formatKeyUri, parseKeyUri } from './uri.ts'

const ID_BYTES = 16

/** Keys that sign in a token. A key is named by its identifier (RFC 7512); its label is for people. */
export function pkcs11Holder(token: Token): KeyHolder {
  const idOf = (reference: string) => {
    const uri = parseKeyUri(reference)
    if (!uri) throw new Error(`${reference} names no key of a token`)
    return uri.id
  }
  return {
    kind: 'pkcs11',
    isHeld: (reference) => parseKeyUri(reference) !== undefined,
    async make(label) {
      const id = randomBytes(ID_BYTES)
      const point = await token.use((session) => session.makePair(id, label))
      const [x, y] = [point.subarray(1, 33).toString('base64url'), point.subarray(33).toString('base64url')]
      return { reference: formatKeyUri({ id, label }), publicJwk: { kty: 'EC', crv: 'P-256', x, y } }
    },
    sign(reference, message) {
      const id = idOf(reference)
      const digest = createHash('sha256').update(message).digest()
      return token.use((session) => session.sign(id, digest))
    },
    destroy(reference) {
      const id = idOf(reference)
      return token.use((session) => session.destroyPair(id))
    },
  }
}
