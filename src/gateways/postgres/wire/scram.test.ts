import assert from 'node:assert/strict'
import { test } from 'node:test'
import { equalBytes, hmacSha256, pbkdf2Sha256, scramVerifier, sha256 } from '../../../kernel/crypto.ts'
import { systemRandom } from '../../../kernel/random.ts'
import { Secret } from '../../../kernel/secret.ts'
import { prepareSecret } from './saslprep.ts'
import { ScramFailure, beginScram, type ScramOptions } from './scram.ts'

const secret = new Secret('pencil')
const both = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']

function begin(options: Partial<ScramOptions> = {}) {
  return beginScram({
    secret,
    random: systemRandom,
    mechanisms: ['SCRAM-SHA-256'],
    binding: undefined,
    leastIterations: 4096,
    ...options,
  })
}

/** The server's side, from the verifier alone. */
function serverOf(verifier: string) {
  const [, iterations = '', salt = '', storedKey = '', serverKey = ''] =
    /^SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)$/.exec(verifier) ?? []
  return {
    first: (clientFirst: Buffer) =>
      Buffer.from(`r=${/r=(.+)$/.exec(String(clientFirst))?.[1]}server,s=${salt},i=${iterations}`),
    accepts(clientFirst: Buffer, serverFirst: Buffer, clientFinal: Buffer) {
      const [, withoutProof = '', proof = ''] = /^(.*),p=(.*)$/.exec(String(clientFinal)) ?? []
      const authMessage = `${String(clientFirst).replace(/^[^,]*,[^,]*,/, '')},${String(serverFirst)},${withoutProof}`
      const signature = hmacSha256(Buffer.from(storedKey, 'base64'), authMessage)
      const clientKey = Buffer.from(proof, 'base64').map((byte, index) => byte ^ (signature[index] ?? 0))
      const final = `v=${hmacSha256(Buffer.from(serverKey, 'base64'), authMessage).toString('base64')}`
      return { isAccepted: equalBytes(sha256(clientKey), Buffer.from(storedKey, 'base64')), final: Buffer.from(final) }
    },
  }
}

test('the numbers are those of RFC 7677', async () => {
  const salted = await pbkdf2Sha256('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096)
  const authMessage =
    'n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,' +
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'

  const signature = hmacSha256(hmacSha256(salted, 'Server Key'), authMessage)

  assert.equal(signature.toString('base64'), '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
})

test('a client with the secret and a server with the verifier convince each other', async () => {
  const server = serverOf(await scramVerifier(secret, systemRandom.bytes(16), 4096))
  const exchange = begin()
  const serverFirst = server.first(exchange.clientFirst)

  const clientFinal = await exchange.clientFinal(serverFirst)

  const { isAccepted, final } = server.accepts(exchange.clientFirst, serverFirst, clientFinal)
  assert.equal(isAccepted, true)
  exchange.verify(final)
})

test('a server without the verifier is found out', async () => {
  const server = serverOf(await scramVerifier(new Secret('guess'), systemRandom.bytes(16), 4096))
  const exchange = begin()
  const serverFirst = server.first(exchange.clientFirst)
  const clientFinal = await exchange.clientFinal(serverFirst)

  const { isAccepted, final } = server.accepts(exchange.clientFirst, serverFirst, clientFinal)

  assert.equal(isAccepted, false)
  for (const forged of [final, Buffer.from('v='), Buffer.from('e=other-error'), Buffer.from(`v=${'A'.repeat(43)}=`)])
    assert.throws(() => exchange.verify(forged), ScramFailure)
})

test('a server’s proof is not believed before the client gave its own', () => {
  assert.throws(() => begin().verify(Buffer.from('v=AAAA')), ScramFailure)
})

test('binding is used where both sides can, and its absence is signed', () => {
  const binding = Buffer.alloc(32, 1)
  const header = (options: Partial<ScramOptions>) => String(begin(options).clientFirst).split('n=')[0]

  assert.equal(header({ mechanisms: both, binding }), 'p=tls-server-end-point,,')
  // Whoever removed PLUS from the list is told on by this `y`.
  assert.equal(header({ binding }), 'y,,')
  assert.equal(header({}), 'n,,')
  assert.equal(header({ mechanisms: both, binding: 'unavailable' }), 'n,,')
  assert.throws(() => begin({ mechanisms: both }), ScramFailure)
  assert.throws(() => begin({ mechanisms: ['OAUTHBEARER'] }), ScramFailure)
})

test('a challenge that is not fresh, malformed or too cheap is refused', async () => {
  const exchange = begin()
  const nonce = /r=(.+)$/.exec(String(exchange.clientFirst))?.[1]

  for (const challenge of [
    `r=${nonce},s=AAAA,i=4096`,
    'r=other,s=AAAA,i=4096',
    `r=${nonce}x,s=AAAA,i=4095`,
    `r=${nonce}x,s=AAAA,i=0`,
    `r=${nonce}x,s=AAAA,i=9999999`,
    `r=${nonce}x,s=,i=4096`,
    `r=${nonce}x,i=4096`,
    `m=ext,r=${nonce}x,s=AAAA,i=4096`,
    '',
  ])
    await assert.rejects(exchange.clientFinal(Buffer.from(challenge)), ScramFailure, challenge)
})

test('passwords are prepared as SASLprep says, and used as they are where it forbids them', () => {
  assert.equal(prepareSecret('I\u00adX'), 'IX')
  assert.equal(prepareSecret('user'), 'user')
  assert.equal(prepareSecret('\u00aa'), 'a')
  assert.equal(prepareSecret('\u2168'), 'IX')
  assert.equal(prepareSecret('a\u00a0b'), 'a b')
  assert.equal(prepareSecret('\u0007'), '\u0007')
  assert.equal(prepareSecret('\u0627\u0031'), '\u0627\u0031')
})
