import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { cleaningOfFile } from '../../test/support/installation.ts'
import {
  newTestKey,
  startIssuer,
  tokenWorld,
  type TestIssuer,
  type TestKey,
  type TokenWorld,
} from '../../test/support/token-world.ts'
import { GRANT_TYPES } from './grants.ts'

const cleaning = cleaningOfFile()
let w: TokenWorld
let issuer: TestIssuer
let key: TestKey

before(async () => {
  w = await tokenWorld(cleaning)
  issuer = await startIssuer(cleaning)
  key = await newTestKey()
  await w.workload('ci')
  await w.rule('ci', { name: 'ci', issuer: issuer.url, subject: { is: 'repo:acme/shop:ref:main' } })
})
after(() => cleaning.now())

const ci = (more: Record<string, unknown> = {}) =>
  issuer.token({ sub: 'repo:acme/shop:ref:main', aud: w.issuer, ...more })
const bearer = (assertion: string) => ({ grant_type: GRANT_TYPES.bearer, assertion })

test('a token of a trusted issuer becomes a token of the mapped identity, bound to the key it came with', async () => {
  const answer = await w.ask(bearer(await ci()), { dpop: key })

  assert.equal(answer.status, 200, JSON.stringify(answer.json))
  assert.equal(answer.json.token_type, 'DPoP')
  assert.equal(answer.json.expires_in, 900)
  const me = await w.whoami(answer.json.access_token, key)
  assert.deepEqual([me.status, me.json.name], [200, 'ci'])
})
