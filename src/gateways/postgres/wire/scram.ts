import { equalBytes, hmacSha256, pbkdf2Sha256, sha256 } from '../../../kernel/crypto.ts'
import type { Random } from '../../../kernel/random.ts'
import type { Secret } from '../../../kernel/secret.ts'
import { prepareSecret } from './saslprep.ts'

// RFC 5802 (SCRAM) and RFC 7677 (SCRAM-SHA-256), the client's side, as PostgreSQL speaks it: the user name is in the start-up
// packet, so `n=` is empty.

/** The server, or somebody in between, did not keep to the exchange. The message names no secret. */
export class ScramFailure extends Error {}

export type ScramOptions = {
  readonly secret: Secret
  readonly random: Random
  /** What the server offered, in its order. */
  readonly mechanisms: readonly string[]
  /** tls-server-end-point data; `unavailable` on TLS with a certificate that has none; undefined without TLS. */
  readonly binding: Buffer | 'unavailable' | undefined
  /** RFC 7677 §4 asks for 4,096; a low count is right only for random secrets of 256 bits. */
  readonly leastIterations: number
}

export type ScramExchange = {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'
  readonly clientFirst: Buffer
  /** The answer to server-first. */
  clientFinal(serverFirst: Buffer): Promise<Buffer>
  /** Throws unless the server proves that it knows the verifier. Must be called before AuthenticationOk is believed. */
  verify(serverFinal: Buffer): void
}

const PLUS = 'SCRAM-SHA-256-PLUS'
const PLAIN = 'SCRAM-SHA-256'
const NONCE_BYTES = 18
/** More than any server is set to; a hostile one could keep a thread busy for hours. */
const MOST_ITERATIONS = 1_000_000

/** Begins an exchange with the strongest mechanism that is offered. */
export function beginScram(options: ScramOptions): ScramExchange {
  const { mechanism, gs2Header } = choose(options)
  const nonce = options.random.bytes(NONCE_BYTES).toString('base64')
  const clientFirstBare = `n=,r=${nonce}`
  const bindingData = mechanism === PLUS && Buffer.isBuffer(options.binding) ? options.binding : Buffer.alloc(0)
  let serverSignature: Buffer | undefined
  return {
    mechanism,
    clientFirst: Buffer.from(gs2Header + clientFirstBare),
    async clientFinal(serverFirst) {
      const challenge = readChallenge(serverFirst, nonce, options.leastIterations)
      const salted = await pbkdf2Sha256(prepareSecret(options.secret.reveal()), challenge.salt, challenge.iterations)
      const clientKey = hmacSha256(salted, 'Client Key')
      const bound = Buffer.concat([Buffer.from(gs2Header), bindingData]).toString('base64')
      const withoutProof = `c=${bound},r=${challenge.nonce}`
      const authMessage = `${clientFirstBare},${serverFirst.toString('utf8')},${withoutProof}`
      const proof = xor(clientKey, hmacSha256(sha256(clientKey), authMessage))
      serverSignature = hmacSha256(hmacSha256(salted, 'Server Key'), authMessage)
      return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
    },
    verify(serverFinal) {
      const text = serverFinal.toString('utf8')
      if (text.startsWith('e=')) throw new ScramFailure('The server ended the SCRAM exchange with an error.')
      const given = /^v=([A-Za-z0-9+/=]+)(,|$)/.exec(text)?.[1]
      if (!serverSignature || given === undefined || !equalBytes(Buffer.from(given, 'base64'), serverSignature))
        throw new ScramFailure('The server could not prove that it knows the password.')
    },
  }
}

function choose({ mechanisms, binding }: ScramOptions): Pick<ScramExchange, 'mechanism'> & { gs2Header: string } {
  const offersPlus = mechanisms.includes(PLUS)
  if (offersPlus && binding === undefined)
    throw new ScramFailure('The server offers channel binding on a connection that is not encrypted.')
  if (offersPlus && Buffer.isBuffer(binding)) return { mechanism: PLUS, gs2Header: 'p=tls-server-end-point,,' }
  if (!mechanisms.includes(PLAIN)) throw new ScramFailure('The server offers no SASL mechanism that is known here.')
  // RFC 5802 §6: `y` tells the server that it did not offer binding, so that it notices when somebody took the offer out.
  return { mechanism: PLAIN, gs2Header: Buffer.isBuffer(binding) ? 'y,,' : 'n,,' }
}

function readChallenge(serverFirst: Buffer, clientNonce: string, leastIterations: number) {
  const fields = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9][0-9]{0,9})(?:,|$)/.exec(
    serverFirst.toString('utf8'),
  )
  const [, nonce = '', salt = '', count = ''] = fields ?? []
  if (!nonce.startsWith(clientNonce) || nonce.length === clientNonce.length)
    throw new ScramFailure('The server did not answer with a nonce of its own.')
  const iterations = Number(count)
  if (iterations < leastIterations || iterations > MOST_ITERATIONS)
    throw new ScramFailure(
      `The server asks for ${iterations} SCRAM iterations; between ${leastIterations} and ${MOST_ITERATIONS} are accepted.`,
    )
  return { nonce, salt: Buffer.from(salt, 'base64'), iterations }
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, index) => byte ^ (b[index] ?? 0)))
}
