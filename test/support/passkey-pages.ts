import assert from 'node:assert/strict'
import { request } from 'node:https'
import { enrol } from '../../demo/people.ts'
import { applyChange, approveChange, Change } from '../../src/access/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { Enrolment, enrolIdentity } from '../../src/identities/contract.ts'
import type { RunningServer } from '../../src/server.ts'
import { softAuthenticator, type Authenticator } from './authenticator.ts'

export type Page = { readonly status: number; readonly text: string; readonly cookies: readonly string[] }

/** A browser without scripts: it sends forms, and the test does what the script of a page would. */
export type Browser = {
  readonly origin: string
  get(path: string): Promise<Page>
  post(path: string, fields: Readonly<Record<string, string>>): Promise<Page>
}

export function browserOf(server: RunningServer): Browser {
  const { hostname, port } = new URL(server.api.url)
  const origin = `https://localhost:${port}`
  const send = (method: string, path: string, body?: string): Promise<Page> =>
    new Promise((resolve, reject) => {
      const sent = request(
        {
          host: hostname,
          port,
          method,
          path,
          ca: server.authority.certificate,
          servername: 'localhost',
          agent: false,
          headers: {
            host: `localhost:${port}`,
            ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded', origin }),
          },
        },
        (response) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => (text += chunk))
          response.on('error', reject)
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, text, cookies: response.headers['set-cookie'] ?? [] }),
          )
        },
      )
      sent.on('error', reject)
      sent.end(body)
    })
  return {
    origin,
    get: (path) => send('GET', path),
    post: (path, fields) => send('POST', path, new URLSearchParams(fields).toString()),
  }
}

/** The options that a page holds for the browser. */
export function optionsIn({ text }: Page): Record<string, unknown> {
  const found = /data-options="([^"]*)"/.exec(text)?.[1]
  assert.ok(found, text)
  return JSON.parse(found.replaceAll('&quot;', '"').replaceAll('&amp;', '&'))
}

/** The value of a hidden field. */
export function fieldIn({ text }: Page, name: string): string {
  return new RegExp(`name="${name}" value="([^"]*)"`).exec(text)?.[1] ?? ''
}

/** Spends a one-time link on a passkey, by the pages. */
export async function passkeyBy(browser: Browser, link: string): Promise<Authenticator> {
  const device = softAuthenticator(browser.origin)
  const begun = await browser.post('/login/passkey/enrol', { link, label: 'laptop' })
  const response = JSON.stringify(device.create(optionsIn(begun)))
  const fields = { link, label: 'laptop', ceremony: fieldIn(begun, 'ceremony'), response }
  const made = await browser.post('/login/passkey/enrolled', fields)
  assert.equal(made.status, 200, made.text)
  return device
}

/** Answers what a person is asked for, by the pages. */
export async function confirm(
  browser: Browser,
  asked: { readonly id: string; readonly code: string },
  device: Authenticator,
): Promise<Page> {
  const { id, code } = asked
  const shown = await browser.post('/login/step-up', { id, code })
  assert.equal(shown.status, 200, shown.text)
  const response = JSON.stringify(device.get(optionsIn(shown)))
  return browser.post('/login/step-up/prove', { id, code, response })
}

type People = { readonly server: RunningServer; readonly cast: { readonly ada: Client; readonly erin: Client } }

/** A person with a token and a passkey: the second credential of a person is approved by security (rule 14). */
export async function withPasskey(
  { server, cast: { ada, erin } }: People,
  name: string,
): Promise<{ readonly client: Client; readonly device: Authenticator; readonly browser: Browser }> {
  const client = await enrol(server, ada, { kind: 'human', name, profile: 'person' })
  const given = { params: { identity: name }, input: {}, requestApproval: 'they get a passkey' }
  const { id, boundSha256 } = Change.parse(await ada.call(enrolIdentity, given))
  await erin.ask(approveChange, { params: { change: id }, input: { boundSha256 } })
  const { answer } = await ada.ask(applyChange, { params: { change: id } })
  const browser = browserOf(server)
  return { client, browser, device: await passkeyBy(browser, Enrolment.parse(answer).secret) }
}
