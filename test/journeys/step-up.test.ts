import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Writable } from 'node:stream'
import { callSteppedUp } from '../../src/cli/step-up.ts'
import { listPasskeys, removePasskey } from '../../src/login/passkeys/contract.ts'
import { listStepUps } from '../../src/login/step-up/contract.ts'
import { softAuthenticator } from '../support/authenticator.ts'
import { cleaningOfFile, installation, type Installation } from '../support/installation.ts'
import { confirm, fieldIn, optionsIn, passkeyBy, withPasskey } from '../support/passkey-pages.ts'

const cleaning = cleaningOfFile()
let found: Installation
before(async () => {
  found = await installation(cleaning)
})
after(() => cleaning.now())

/** Standard error of a command, with a way to wait for what it says. */
function listening() {
  let text = ''
  const heard: (() => void)[] = []
  const stderr = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString('utf8')
      for (const each of heard) each()
      done()
    },
  })
  const matching = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve) => {
      const look = () => {
        const match = pattern.exec(text)
        if (match) resolve(match)
      }
      heard.push(look)
      look()
    })
  return { stderr, matching }
}

test('a command that owes a step-up says where to confirm, waits, and goes on by itself', async () => {
  const { client, browser, device } = await withPasskey(found, 'frida')
  const { items } = await client.ask(listPasskeys, { params: { identity: 'frida' } })
  const { stderr, matching } = listening()
  const io = { stdout: stderr, stderr, readStdin: async () => '', env: {}, workingFolder: '/' }

  const calling = callSteppedUp(io, client, removePasskey, { params: { passkey: items[0]?.id ?? '' } })
  const [, id = ''] = await matching(/step-up\?id=([0-9a-f-]{36})/)
  const [, code = ''] = await matching(/code ([A-Z]{4}-[A-Z]{4})/)
  const waiting = await client.ask(listStepUps)
  const done = await confirm(browser, { id, code }, device)

  assert.match(done.text, /Confirmed/)
  assert.deepEqual(
    waiting.items.map((each) => [each.id, each.code]),
    [[id, code]],
  )
  // It ran, and its own rule is what refuses it: the last passkey stays.
  await assert.rejects(calling, /This is your last passkey/)
})

test('what a person refuses is not done, and the command says so', async () => {
  const { client, browser } = await withPasskey(found, 'gerda')
  const { items } = await client.ask(listPasskeys, { params: { identity: 'gerda' } })
  const { stderr, matching } = listening()
  const io = { stdout: stderr, stderr, readStdin: async () => '', env: {}, workingFolder: '/' }

  const calling = callSteppedUp(io, client, removePasskey, { params: { passkey: items[0]?.id ?? '' } })
  const [, id = ''] = await matching(/step-up\?id=([0-9a-f-]{36})/)
  const [, code = ''] = await matching(/code ([A-Z]{4}-[A-Z]{4})/)
  await browser.post('/login/step-up/refuse', { id, code })

  await assert.rejects(calling, /The person refused it/)
})

test('a person logs in with a passkey by the pages, and attack: a page without the code shows nothing', async () => {
  const { client, browser, device } = await withPasskey(found, 'hilda')
  const page = await browser.get('/login/passkey')
  const fields = { ceremony: fieldIn(page, 'ceremony'), to: '/login' }
  const login = await browser.post('/login/passkey', {
    ...fields,
    response: JSON.stringify(device.get(optionsIn(page))),
  })
  const again = await browser.post('/login/passkey', {
    ...fields,
    response: JSON.stringify(device.get(optionsIn(page))),
  })

  assert.equal(login.status, 303)
  assert.match(login.cookies.join(), /__Host-reeve-login=/)
  assert.deepEqual([again.status, again.cookies], [403, []])
  const { items } = await client.ask(listPasskeys, { params: { identity: 'hilda' } })
  const passkey = items[0]?.id ?? ''
  const asked = await client.call(removePasskey, { params: { passkey }, requestStepUp: true })
  assert.ok(typeof asked === 'object' && asked !== null && 'id' in asked)
  const blind = await browser.post('/login/step-up', { id: String(asked.id), code: 'BBBB-CCCC' })
  assert.equal(blind.status, 403)
  assert.doesNotMatch(blind.text, /passkey\.remove/)
})

test('attack: a link is spent once, also on two authenticators', async () => {
  const { browser } = await withPasskey(found, 'irma')

  await assert.rejects(passkeyBy(browser, 'reeve_enrol_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'))
  const page = await browser.get('/login/passkey')
  const stranger = softAuthenticator(browser.origin).get(optionsIn(page))
  const answer = await browser.post('/login/passkey', {
    ceremony: fieldIn(page, 'ceremony'),
    response: JSON.stringify(stranger),
  })
  assert.equal(answer.status, 403)
})
