import assert from 'node:assert/strict'
import { before, after, test } from 'node:test'
import { enrolIdentity, registerIdentity, suspendIdentity, resumeIdentity } from '../identities/contract.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import { fieldIn, loginWorld, type LoginWorld } from '../../test/support/login-world.ts'
import { dpopProof, newTestKey, signed, type Answer } from '../../test/support/token-world.ts'
import { endLoginSession, listLoginSessions, retireLoginLink, listLoginLinks } from './contract.ts'

let w: LoginWorld
const cleaning = cleaningOfFile()
const GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

before(async () => {
  w = await loginWorld(cleaning)
  await w.person('alice')
})
after(() => cleaning.now())

test('a person logs in at a provider, and the strength of that is kept with the login', async () => {
  const browser = w.browser()
  const back = await browser.viaProvider(await browser.get('/login/start/main?to=/device'))

  assert.equal(back.status, 303, String(back.json))
  assert.equal(back.headers['location'], '/device')
  const page = await browser.get('/login')
  assert.match(String(page.json), /You are <strong>alice<\/strong>/)
  const { items } = await w.ada.ask(listLoginSessions, { params: { identity: 'alice' } })
  const last = items.at(-1)
  assert.deepEqual(
    { acr: last?.acr, amr: last?.amr, method: last?.method, provider: last?.provider, channel: last?.channel },
    { acr: 'urn:example:gold', amr: ['pwd', 'otp'], method: 'oidc', provider: 'main', channel: 'browser' },
  )
  assert.ok(last && last.authenticatedAt < last.createdAt)
})

async function begin(key: Awaited<ReturnType<typeof newTestKey>>) {
  const proof = await dpopProof(key, { htm: 'POST', htu: `${w.issuer}/oauth2/device_authorization` })
  const answer = await w.send('/oauth2/device_authorization', {
    method: 'POST',
    body: 'client_id=reeve-cli',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      dpop: proof,
      'user-agent': 'reeve-cli on a laptop',
    },
  })
  assert.equal(answer.status, 200, JSON.stringify(answer.json))
  return answer.json
}

test('a program without a browser is let in by a code, and its token belongs to a login of its own', async () => {
  const key = await newTestKey()
  const waiting = await begin(key)
  const form = { grant_type: GRANT, device_code: waiting.device_code, client_id: 'reeve-cli' }
  assert.equal((await w.ask(form, { dpop: key })).json.error, 'authorization_pending')
  const browser = await w.loggedIn()
  const asked = await browser.get('/device')
  const shown = await browser.post('/device', {
    form: fieldIn(asked, 'form'),
    user_code: waiting.user_code.toLowerCase(),
  })
  assert.match(String(shown.json), /reeve-cli on a laptop/)
  const decided = await browser.post('/device/decide', {
    form: fieldIn(shown, 'form'),
    device: fieldIn(shown, 'device'),
    answer: 'yes',
  })
  assert.match(String(decided.json), /It is let in/)
  assert.equal((await w.ask(form, { dpop: key })).json.error, 'slow_down')
})
