import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { openAuthority } from './ca.ts'
import { systemClock } from './clock.ts'
import { systemRandom } from './random.ts'
import { Secret } from './secret.ts'
import { newSigningKey, openSigningKey, openVerifyingKey, type SigningKey } from './signing-key.ts'
import { openSigningKeys, sealedKeys, type KeyHolder } from './signing-keys.ts'

/** Keeps keys in memory: a stub of tokens and clouds, which are tried as they are by the suites on Debian and by interop. */
function stubHolder(name = 'stub') {
  const keys = new Map<string, SigningKey>()
  let count = 0
  const holder: KeyHolder = {
    kind: 'pkcs11',
    isHeld: (reference) => reference.startsWith(`${name}:`),
    async make() {
      const key = openSigningKey(newSigningKey('ES256'))
      const reference = `${name}:${(count += 1)}`
      keys.set(reference, key)
      return { reference, publicJwk: key.publicJwk }
    },
    async sign(reference, message) {
      const key = keys.get(reference)
      if (!key) throw new Error(`${reference} is not here`)
      return key.sign(message)
    },
    destroy: async (reference) => void keys.delete(reference),
  }
  return { keys, holder }
}

test('a key that is held elsewhere signs there, and all that is kept of it is its name', async () => {
  const { keys, holder } = stubHolder()
  const held = openSigningKeys(holder)

  const { kept, key } = await held.make('ES256', 'x')
  const opened = await held.open(kept, key.publicJwk)

  assert.equal(kept.reveal().toString(), 'stub:1')
  assert.equal(opened.kid, key.kid)
  assert.ok(openVerifyingKey(key.publicJwk)(Buffer.from('a'), await opened.sign(Buffer.from('a'))))
  await held.discard(kept)
  assert.equal(keys.size, 0)
  await assert.rejects(held.open(kept, key.publicJwk), /is not here/)
})

test('keys from before another place was configured go on signing, and so do those of the place before', async () => {
  const [first, second] = [stubHolder('first'), stubHolder('second')]
  const sealed = await sealedKeys.make('ES256', 'x')
  const held = await openSigningKeys(first.holder).make('ES256', 'x')
  const now = openSigningKeys(second.holder, [first.holder])

  assert.equal((await now.open(sealed.kept, sealed.key.publicJwk)).kid, sealed.key.kid)
  assert.equal((await now.open(held.kept, held.key.publicJwk)).kid, held.key.kid)
  assert.match((await now.make('ES256', 'x')).kept.reveal().toString(), /^second:/)
  await assert.rejects(sealedKeys.open(held.kept, held.key.publicJwk), /says nothing of who holds it/)
  // What is sealed here has nobody to destroy it.
  await now.discard(sealed.kept)
})

test('attack: another key in the place of the one that was published does not sign, and one that lies at once is destroyed', async () => {
  const { keys, holder } = stubHolder()
  const held = openSigningKeys(holder)
  const { kept, key } = await held.make('ES256', 'x')
  keys.set('stub:1', openSigningKey(newSigningKey('ES256')))
  await assert.rejects(held.open(kept, key.publicJwk), /is another one than was published/)

  const { publicJwk } = openSigningKey(newSigningKey('ES256'))
  const liar = { ...holder, make: async () => ({ ...(await holder.make('x')), publicJwk }) }
  await assert.rejects(openSigningKeys(liar).make('ES256', 'x'), /is another one than was published/)
  assert.deepEqual([...keys.keys()], ['stub:1'])
  await assert.rejects(held.make('EdDSA', 'x'), /sign ES256 only/)
  await assert.rejects(held.open(new Secret(Buffer.from('elsewhere:1')), publicJwk), /says nothing of who holds it/)
})

test('two processes that make the CA at once get one, and the key that lost is destroyed where it was held', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-held-ca-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const { keys, holder } = stubHolder()
  const needs = { clock: systemClock, random: systemRandom, keys: openSigningKeys(holder) }
  const place = join(folder, 'ca')

  const [one, other] = await Promise.all([openAuthority(place, needs), openAuthority(place, needs)])
  const third = await openAuthority(place, needs)

  assert.equal(one.certificate, other.certificate)
  assert.equal(keys.size, 1)
  assert.equal(readFileSync(join(place, 'ca.key'), 'utf8').trim(), [...keys.keys()][0])
  const leaf = new X509Certificate((await third.issueServer(['localhost'])).cert)
  assert.ok(leaf.verify(new X509Certificate(one.certificate).publicKey))
  await assert.rejects(openAuthority(place, { ...needs, keys: sealedKeys }), /says nothing of who holds it/)
})
