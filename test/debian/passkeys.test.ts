import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { callSteppedUp } from '../../src/cli/step-up.ts'
import { enrol } from '../../demo/people.ts'
import { applyChange, approveChange, Change } from '../../src/access/contract.ts'
import { Enrolment, enrolIdentity } from '../../src/identities/contract.ts'
import { listPasskeys, removePasskey } from '../../src/login/passkeys/contract.ts'
import { chromium, type Tab } from '../support/chromium.ts'
import { installation } from '../support/installation.ts'

const INTERNAL = {
  protocol: 'ctap2',
  transport: 'internal',
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
}

const text = (tab: Tab): Promise<string> => tab.value('document.body.innerText')
const click = (tab: Tab, button: string) =>
  tab.leaving(
    `[...document.querySelectorAll('button')].find((each) => each.textContent.includes(${JSON.stringify(button)})).click()`,
  )
const fill = (tab: Tab, name: string, value: string) =>
  tab.value(`void (document.querySelector('[name=${name}]').value = ${JSON.stringify(value)})`)

test('in Chromium a person makes a passkey, logs in, adds another one, and steps up for exactly what a command does', async (t) => {
  const { server, cast } = await installation(t)
  const { ada, erin } = cast
  const client = await enrol(server, ada, { kind: 'human', name: 'frida', profile: 'person' })
  const given = { params: { identity: 'frida' }, input: {}, requestApproval: 'they get a passkey' }
  const { id: change, boundSha256 } = Change.parse(await ada.call(enrolIdentity, given))
  await erin.ask(approveChange, { params: { change }, input: { boundSha256 } })
  const { secret } = Enrolment.parse((await ada.ask(applyChange, { params: { change } })).answer)
  const { port } = new URL(server.api.url)
  const origin = `https://localhost:${port}`
  const tab = await chromium(t, Number(port))
  await tab.send('WebAuthn.enable')
  await tab.send('WebAuthn.addVirtualAuthenticator', { options: INTERNAL })

  await tab.open(`${origin}/login/passkey/enrol`)
  await fill(tab, 'link', secret)
  await click(tab, 'Go on')
  await click(tab, 'Make the passkey')
  assert.match(await text(tab), /You have a passkey/)
  await tab.open(`${origin}/login/passkey`)
  await click(tab, 'Log in with a passkey')
  assert.match(await text(tab), /You are frida/)

  // A second authenticator: one holds one passkey of a person, and the older one agrees to the newer.
  const other = { ...INTERNAL, transport: 'usb' }
  await tab.send('WebAuthn.addVirtualAuthenticator', { options: other })
  await tab.open(`${origin}/login/passkey/add`)
  await click(tab, 'Add a passkey')
  assert.match(await text(tab), /You have another passkey/)
  const { items } = await client.ask(listPasskeys, { params: { identity: 'frida' } })
  assert.equal(items.length, 2)

  let said = ''
  let heard = () => {}
  const stderr = new Writable({
    write(chunk: Buffer, _encoding, done) {
      said += chunk.toString('utf8')
      heard()
      done()
    },
  })
  const told = new Promise<RegExpExecArray>((resolve) => {
    heard = () => {
      const match = /(https:\S+step-up\?id=\S+)\s[^]*code ([A-Z]{4}-[A-Z]{4})/.exec(said)
      if (match) resolve(match)
    }
  })
  const io = { stdout: stderr, stderr, readStdin: async () => '', env: {}, workingFolder: '/' }
  const removing = callSteppedUp(io, client, removePasskey, { params: { passkey: items[1]?.id ?? '' } })
  const [, url = '', code = ''] = await told
  await tab.open(url)
  await fill(tab, 'code', code)
  await click(tab, 'Show what it is')
  assert.match(await text(tab), /passkey\.remove/)
  await click(tab, 'Yes, confirm with my passkey')
  assert.match(await text(tab), /Confirmed/)
  const removed = await removing
  assert.ok(JSON.stringify(removed).includes('removedAt'))
})
